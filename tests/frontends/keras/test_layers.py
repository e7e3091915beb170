"""Every layer, in the variants that differ in meaning, against Keras."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.keras import assert_same, keras, sequential

L = keras.layers
FIRST = "channels_first"

CASES: dict[str, tuple[tuple[int, ...], Callable[[], Any]]] = {
    "conv1d": ((11, 3), lambda: L.Conv1D(4, 3)),
    "conv1d causal dilated": ((11, 3), lambda: L.Conv1D(4, 3, padding="causal", dilation_rate=2)),
    "conv1d causal strided": ((11, 3), lambda: L.Conv1D(4, 4, padding="causal", strides=3)),
    "conv1d first": ((3, 11), lambda: L.Conv1D(4, 3, data_format=FIRST)),
    "conv2d same strided": ((9, 8, 3), lambda: L.Conv2D(5, 3, strides=2, padding="same", activation="relu")),
    "conv2d same even kernel": ((9, 8, 3), lambda: L.Conv2D(5, (2, 4), padding="same", use_bias=False)),
    "conv2d grouped": ((7, 7, 6), lambda: L.Conv2D(9, 3, groups=3, activation="tanh")),
    "conv2d dilated": ((9, 9, 2), lambda: L.Conv2D(3, 3, dilation_rate=(2, 1), padding="same")),
    "conv2d first": ((6, 7, 8), lambda: L.Conv2D(4, 3, strides=2, groups=2, padding="same", data_format=FIRST)),
    "conv2d first softmax": ((3, 4, 5), lambda: L.Conv2D(4, 1, data_format=FIRST, activation="softmax")),
    "conv3d": ((5, 6, 7, 2), lambda: L.Conv3D(3, (2, 3, 1), strides=(1, 2, 1), padding="same")),
    "conv3d first": ((2, 5, 4, 4), lambda: L.Conv3D(3, 2, data_format=FIRST)),
    "depthwise1d": ((9, 4), lambda: L.DepthwiseConv1D(3, depth_multiplier=2)),
    "depthwise2d": ((8, 9, 4), lambda: L.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=3)),
    "depthwise2d first": ((4, 8, 9), lambda: L.DepthwiseConv2D(3, depth_multiplier=2, data_format=FIRST)),
    "depthwise2d one channel": ((8, 9, 1), lambda: L.DepthwiseConv2D(3, activation="silu")),
    "separable1d": ((9, 4), lambda: L.SeparableConv1D(5, 3, padding="same", activation="relu")),
    "separable2d": ((8, 9, 4), lambda: L.SeparableConv2D(5, 3, depth_multiplier=2, strides=2)),
    "separable2d first": ((4, 8, 9), lambda: L.SeparableConv2D(5, 3, use_bias=False, data_format=FIRST)),
    "dense": ((7,), lambda: L.Dense(5, activation="softmax")),
    "dense high rank": ((3, 4, 7), lambda: L.Dense(5, use_bias=False)),
    "dense layer as activation": ((7,), lambda: L.Dense(5, activation=L.LeakyReLU(0.1))),
    "dense function as activation": ((7,), lambda: L.Dense(5, activation=keras.activations.relu6)),
    "batch norm": ((4, 5, 3), lambda: L.BatchNormalization(epsilon=0.01)),
    "batch norm axis 1": ((3, 4, 5), lambda: L.BatchNormalization(axis=1)),
    "batch norm axis 2": ((3, 4, 5), lambda: L.BatchNormalization(axis=2)),
    "batch norm bare": ((4,), lambda: L.BatchNormalization(scale=False, center=False)),
    "batch norm no scale": ((4,), lambda: L.BatchNormalization(scale=False)),
    "batch norm no center": ((4,), lambda: L.BatchNormalization(center=False)),
    "relu all": ((50,), lambda: L.ReLU(max_value=1.0, negative_slope=0.2, threshold=0.3)),
    "leaky relu": ((50,), L.LeakyReLU),
    "elu": ((50,), lambda: L.ELU(0.7)),
    "prelu": ((4, 5, 3), lambda: L.PReLU(shared_axes=[1, 2])),
    "prelu unshared": ((4, 5, 3), L.PReLU),
    "softmax": ((4, 5), L.Softmax),
    "softmax axis": ((4, 5), lambda: L.Softmax(axis=1)),
    "softmax axes": ((4, 5, 3), lambda: L.Softmax(axis=[1, -1])),
    "max pool 1d": ((9, 3), lambda: L.MaxPooling1D(2, padding="same")),
    "max pool 2d": ((9, 8, 3), lambda: L.MaxPooling2D(3, strides=2, padding="same")),
    "max pool 2d default strides": ((9, 8, 3), L.MaxPooling2D),
    "max pool 2d first": ((3, 9, 8), lambda: L.MaxPooling2D((3, 2), data_format=FIRST)),
    "max pool 3d": ((5, 5, 5, 2), lambda: L.MaxPooling3D(2)),
    "average pool 1d": ((9, 3), lambda: L.AveragePooling1D(3, strides=1, padding="same")),
    "average pool 2d": ((9, 8, 3), lambda: L.AveragePooling2D(2, strides=1, padding="same")),
    "average pool 2d first": ((3, 9, 8), lambda: L.AveragePooling2D(3, strides=2, padding="same", data_format=FIRST)),
    "average pool 3d": ((5, 5, 5, 2), lambda: L.AveragePooling3D(2, padding="same")),
    "global average 1d": ((9, 3), L.GlobalAveragePooling1D),
    "global average 2d": ((9, 8, 3), lambda: L.GlobalAveragePooling2D(keepdims=True)),
    "global average 2d first": ((3, 9, 8), lambda: L.GlobalAveragePooling2D(data_format=FIRST)),
    "global average 3d": ((5, 4, 3, 2), L.GlobalAveragePooling3D),
    "global max 1d": ((9, 3), lambda: L.GlobalMaxPooling1D(keepdims=True)),
    "global max 2d": ((9, 8, 3), L.GlobalMaxPooling2D),
    "global max 3d first": ((2, 5, 4, 3), lambda: L.GlobalMaxPooling3D(data_format=FIRST, keepdims=True)),
    "zero padding 1d": ((4, 3), lambda: L.ZeroPadding1D((1, 2))),
    "zero padding 2d": ((4, 5, 3), lambda: L.ZeroPadding2D(((1, 2), (0, 3)))),
    "zero padding 2d symmetric": ((4, 5, 3), lambda: L.ZeroPadding2D((1, 2))),
    "zero padding 2d first": ((3, 4, 5), lambda: L.ZeroPadding2D(2, data_format=FIRST)),
    "zero padding 3d": ((4, 5, 3, 2), lambda: L.ZeroPadding3D(((1, 2), (0, 3), (1, 0)))),
    "reshape": ((4, 6), lambda: L.Reshape((3, 8))),
    "reshape open": ((4, 6), lambda: L.Reshape((2, -1, 3))),
    "flatten": ((4, 6, 2), L.Flatten),
    "flatten first": ((4, 6, 2), lambda: L.Flatten(data_format=FIRST)),
    "permute": ((4, 6, 2), lambda: L.Permute((3, 1, 2))),
    "rescaling": ((4, 4, 3), lambda: L.Rescaling(1 / 127.5, offset=-1)),
    "rescaling vectors": ((4, 4, 3), lambda: L.Rescaling([0.1, 0.2, 0.3], offset=[1.0, 2.0, 3.0])),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_layer_computes_what_keras_computes(case: str, tmp_path: Path) -> None:
    shape, make_layer = CASES[case]
    assert_same(sequential(shape, make_layer()), tmp_path)


NAMES = (
    "linear relu relu6 leaky_relu sigmoid hard_sigmoid silu swish hard_silu hard_swish tanh exponential elu selu gelu "
    "softplus softsign mish softmax"
)


@pytest.mark.parametrize("name", NAMES.split())
def test_an_activation_by_name(name: str, tmp_path: Path) -> None:
    graph = assert_same(sequential((60,), L.Rescaling(3.0), L.Activation(name)), tmp_path)
    assert graph.nodes[-1].type.shape == (2, 60)


@pytest.mark.parametrize(
    "layer",
    [
        L.Dropout(0.5), L.AlphaDropout(0.5), L.GaussianDropout(0.5), L.GaussianNoise(0.5), L.SpatialDropout2D(0.5),
        L.ActivityRegularization(l2=0.1), L.Identity(),
    ],
    ids=lambda layer: type(layer).__name__,
)  # fmt: skip
def test_layers_of_training_leave_no_node(layer: Any, tmp_path: Path) -> None:
    graph = assert_same(sequential((4, 4, 3), layer), tmp_path)
    assert graph.outputs == graph.inputs
