"""Transposed convolutions and convolutions as functions, against Keras: tap by tap, and as layers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from convc import ops
from convc.frontends.keras import load
from convc.frontends.keras.config import Fields
from convc.frontends.keras.conv_transpose import TransposedWindow
from convc.ir import Array
from convc.passes import optimize
from tests.support.keras import assert_same, feeds, keras, save, sequential
from tests.tolerances import assert_close

L = keras.layers
FIRST = "channels_first"


def reference(kernel: int, extent: int, options: dict[str, Any]) -> Array:
    """The output for one channel."""
    window = TransposedWindow.parse(Fields(options), 1, (kernel,))
    op = ops.ConvTranspose(window.window.strides, window.window.dilation, window.crop())
    return op.reference(*values(kernel, extent))


def values(kernel: int, extent: int) -> tuple[Array, Array]:
    """Input and kernel of whole numbers that tell which tap met which element; their sums are exact in float32."""
    x = 16.0 ** np.arange(extent).reshape(1, extent, 1)
    return x.astype(np.float32), np.arange(1, kernel + 1, dtype=np.float32).reshape(kernel, 1, 1)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5, 6, 7])
def test_tap_by_tap(kernel: int, padding: str) -> None:
    """k < s, k = s, k > s; odd and even; dilated, and so with strides, which functions may be."""
    extent = 4
    cases = [
        {"strides": stride, "dilation_rate": dilation, "padding": padding, "output_padding": extra}
        for stride, dilation in product((1, 2, 3), (1, 2))
        for extra in (None, *range(stride))
        if dilation == 1 or extra in (None, stride - 1)
    ]
    want = jax.jit(lambda: [keras.ops.conv_transpose(*values(kernel, extent), **case) for case in cases])()
    for case, expected in zip(cases, want, strict=True):
        np.testing.assert_array_equal(reference(kernel, extent, case), np.asarray(expected), str(case))


@pytest.mark.parametrize(
    ("kernel", "options", "want"),
    [
        # Where each tap falls, for an input of ones.
        (2, {"strides": 3, "padding": "valid"}, [1, 2, 0] * 5),
        (2, {"strides": 2, "padding": "same"}, [1, 2] * 5),
        (3, {"strides": 2, "padding": "same"}, [1, 2, 4, 2, 4, 2, 4, 2, 4, 2]),
        (4, {"strides": 2, "padding": "same"}, [2, 4, 6, 4, 6, 4, 6, 4, 6, 3]),
        (5, {"strides": 2, "padding": "same"}, [2, 4, 6, 9, 6, 9, 6, 9, 6, 8]),
        (3, {"strides": 2, "padding": "same", "output_padding": 0}, [2, 4, 2, 4, 2, 4, 2, 4, 2]),
        (3, {"strides": 2, "padding": "valid", "output_padding": 1}, [1, 2, 4, 2, 4, 2, 4, 2, 4, 2, 3, 0]),
    ],
)  # fmt: skip
def test_the_rules_as_they_are_written(kernel: int, options: dict[str, Any], want: list[int]) -> None:
    window = TransposedWindow.parse(Fields(options), 1, (kernel,))
    op = ops.ConvTranspose(window.window.strides, window.window.dilation, window.crop())
    assert op.reference(np.ones((1, 5, 1)), values(kernel, 1)[1]).ravel().tolist() == want


LAYERS: dict[str, tuple[tuple[int, ...], Callable[[], Any]]] = {
    "1d": ((7, 3), lambda: L.Conv1DTranspose(5, 3)),
    "1d same strided": ((7, 3), lambda: L.Conv1DTranspose(5, 4, strides=3, padding="same", activation="relu")),
    "1d first": ((3, 7), lambda: L.Conv1DTranspose(5, 4, strides=2, data_format=FIRST, output_padding=1)),
    "1d dilated": ((7, 3), lambda: L.Conv1DTranspose(5, 3, dilation_rate=3, padding="SAME")),
    "2d unet": ((5, 6, 7), lambda: L.Conv2DTranspose(4, 2, strides=2, padding="same", activation="relu")),
    "2d gan": ((4, 4, 9), lambda: L.Conv2DTranspose(5, 4, strides=2, padding="same", use_bias=False)),
    "2d from one element": ((1, 1, 9), lambda: L.Conv2DTranspose(5, 4, use_bias=False)),
    "2d list forms": ((4, 5, 3), lambda: L.Conv2DTranspose(5, [3, 2], strides=[1, 3], output_padding=[0, 2])),
    "2d tuple forms": ((4, 5, 3), lambda: L.Conv2DTranspose(5, (4, 5), strides=(3, 2), padding="same")),
    "2d window below the stride": ((3, 4, 3), lambda: L.Conv2DTranspose(5, (1, 2), strides=(3, 4))),
    "2d dilated": ((5, 6, 3), lambda: L.Conv2DTranspose(5, 3, dilation_rate=(2, 3), output_padding=0)),
    "2d dilated same": ((5, 6, 3), lambda: L.Conv2DTranspose(5, (3, 4), dilation_rate=(3, 2), padding="same")),
    "2d first": ((3, 4, 5), lambda: L.Conv2DTranspose(5, 3, strides=2, padding="same", data_format=FIRST)),
    "2d first softmax": ((3, 4, 5), lambda: L.Conv2DTranspose(5, 3, data_format=FIRST, activation="softmax")),
    "2d activation layer": ((3, 4, 5), lambda: L.Conv2DTranspose(2, 3, strides=2, activation=L.LeakyReLU(0.1))),
    "2d output padding": ((3, 4, 5), lambda: L.Conv2DTranspose(2, 5, strides=3, padding="same", output_padding=(2, 1))),
    "3d": ((3, 2, 4, 3), lambda: L.Conv3DTranspose(5, (2, 3, 1), strides=(2, 1, 3), padding="same")),
    "3d first": ((3, 2, 3, 2), lambda: L.Conv3DTranspose(4, 3, strides=2, data_format=FIRST, output_padding=1)),
}  # fmt: skip


@pytest.mark.parametrize("case", LAYERS)
def test_a_layer_computes_what_keras_computes(case: str, tmp_path: Path) -> None:
    shape, make_layer = LAYERS[case]
    graph = assert_same(sequential(shape, make_layer()), tmp_path)
    optimized = optimize(graph).grouped.graph
    inputs = feeds(graph)
    (want,), (got,) = ([ops.evaluate(g, inputs)[node] for node in g.outputs] for g in (graph, optimized))
    assert_close(got, want, "reference")


def test_batch_norm_and_activations_behind_it_fold(tmp_path: Path) -> None:
    model = sequential(
        (4, 5, 6),
        L.Conv2DTranspose(8, 4, strides=2, padding="same", use_bias=False), L.BatchNormalization(), L.LeakyReLU(0.2),
        L.Conv2DTranspose(3, 5, strides=2, padding="same", activation="tanh"),
    )  # fmt: skip
    grouped = optimize(assert_same(model, tmp_path)).grouped
    kinds = [[node.op.kind for node in group.nodes] for group in grouped.groups]
    assert kinds == [["Conv", "Relu"], ["DepthToSpace"], ["Conv", "Tanh"], ["DepthToSpace"]]


def test_two_calls_of_one_layer(tmp_path: Path) -> None:
    x, y = keras.Input((3, 4, 2), name="x"), keras.Input((5, 2, 2), name="y")
    up = L.Conv2DTranspose(3, 3, strides=2, padding="same")
    assert_same(keras.Model([x, y], [up(x), up(y)]), tmp_path, batch=1)


RNG = np.random.default_rng(5)
KERNELS = {1: (3, 4, 6), 2: (2, 3, 4, 6), 3: (2, 1, 3, 4, 6)}


def kernel(*shape: int) -> Array:
    return RNG.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("options", [
    {}, {"strides": 2, "padding": "same"}, {"padding": "SAME", "dilation_rate": 2},
    {"strides": 2, "dilation_rate": 2}, {"strides": 3, "data_format": FIRST},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_functions_with_constant_kernels(rank: int, options: dict[str, Any], tmp_path: Path) -> None:
    first = options.get("data_format") == FIRST
    x = keras.Input((4, *(6,) * rank) if first else (*(6,) * rank, 4), name="x")
    weights, k = kernel(*KERNELS[rank]), keras.ops
    outputs = [k.conv(x, weights, **options)]
    if rank < 3:
        outputs.append(k.depthwise_conv(x, weights, **options))
        pointwise = k.convert_to_tensor(kernel(*(1,) * rank, 24, 5))
        outputs.append(k.separable_conv(x, weights, pointwise, **options))
    assert_same(keras.Model(x, outputs), tmp_path)


@pytest.mark.parametrize("options", [
    {}, {"strides": 2, "padding": "same"}, {"strides": 3, "output_padding": (2, 1)}, {"strides": 2, "dilation_rate": 3},
    {"strides": (2, 1), "padding": "Same", "output_padding": 0, "data_format": FIRST},
], ids=str)  # fmt: skip
def test_the_transposed_function(options: dict[str, Any], tmp_path: Path) -> None:
    """Keras 3.15 saves such a model and cannot call it: its operation mixes up two arguments. So the function itself
    is the judge."""
    x, weights = keras.Input((4, 4, 4), name="x"), kernel(3, 2, 5, 4)
    model = keras.Model(x, keras.ops.conv_transpose(x, weights, **options))
    graph = load(save(model, tmp_path), batch=2)
    inputs = feeds(graph)
    want = np.asarray(keras.ops.conv_transpose(inputs["x"], weights, **options))
    assert_close(ops.evaluate(graph, inputs)[graph.outputs[0]], want, "reference")


FORMS: dict[str, tuple[tuple[int, ...], Callable[[], Any]]] = {
    "conv2d lists": ((9, 8, 3), lambda: L.Conv2D(5, [3, 2], strides=[2, 1], padding="Same")),
    "conv2d upper case": ((9, 8, 3), lambda: L.Conv2D(5, 3, padding="VALID", data_format="Channels_Last")),
    "conv1d causal upper case first": ((3, 9), lambda: L.Conv1D(4, 3, padding="CAUSAL", data_format=FIRST)),
    "conv3d dilated same": ((5, 6, 4, 2), lambda: L.Conv3D(3, 2, dilation_rate=(2, 1, 3), padding="same")),
    "conv3d grouped first": ((4, 3, 4, 5), lambda: L.Conv3D(6, 2, groups=2, data_format=FIRST, use_bias=False)),
    "depthwise1d first": ((4, 9), lambda: L.DepthwiseConv1D(3, strides=2, depth_multiplier=3, data_format=FIRST)),
    "depthwise1d dilated strided": ((11, 4), lambda: L.DepthwiseConv1D(3, strides=2, dilation_rate=2)),
    "depthwise2d dilated": ((9, 8, 4), lambda: L.DepthwiseConv2D((3, 2), dilation_rate=(2, 3), padding="same")),
    "depthwise2d dilated strided": (
        (9, 8, 4), lambda: L.DepthwiseConv2D(3, strides=2, dilation_rate=2, padding="same")
    ),
    "depthwise2d first dilated": (
        (4, 8, 9), lambda: L.DepthwiseConv2D(2, dilation_rate=3, depth_multiplier=2, padding="same", data_format=FIRST)
    ),
    "separable1d first": ((4, 9), lambda: L.SeparableConv1D(5, 3, strides=2, padding="same", data_format=FIRST)),
    "separable1d dilated strided": ((11, 4), lambda: L.SeparableConv1D(5, 3, strides=2, dilation_rate=2)),
    "separable2d dilated": ((9, 8, 4), lambda: L.SeparableConv2D(5, 3, dilation_rate=(2, 1), depth_multiplier=3)),
    "separable2d softmax first": ((4, 8, 9), lambda: L.SeparableConv2D(5, 2, data_format=FIRST, activation="softmax")),
}  # fmt: skip


@pytest.mark.parametrize("case", FORMS)
def test_forms_of_convolutions(case: str, tmp_path: Path) -> None:
    shape, make_layer = FORMS[case]
    assert_same(sequential(shape, make_layer()), tmp_path)


def test_weights_adapted_at_low_rank_are_stored_merged(tmp_path: Path) -> None:
    conv = L.Conv2D(4, 3)
    model = sequential((6, 6, 3), conv)
    conv.enable_lora(2)
    assert_same(model, tmp_path)
