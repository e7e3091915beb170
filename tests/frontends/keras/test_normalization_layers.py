"""Normalisation layers and the layers of keras.applications against Keras, and what is refused."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convc import ops
from convc.errors import ConvcError
from convc.frontends.keras import load
from convc.ir import Shape
from tests.support.configs import called, functional, layer, sequential
from tests.support.keras import assert_same, keras, predict, save
from tests.support.keras import sequential as built
from tests.tolerances import assert_close

L = keras.layers
IMAGE = (4, 5, 6)


def side_by_side(folder: Path, shape: Shape, *layers: Any, batch: int = 2) -> None:
    """All layers on one input, in one model."""
    x = keras.Input(shape)
    assert_same(keras.Model(x, [made(x) for made in layers]), folder, batch=batch)


def test_layer_normalization(tmp_path: Path) -> None:
    side_by_side(
        tmp_path,
        IMAGE,
        L.LayerNormalization(),
        *(L.LayerNormalization(axis=axis) for axis in (1, 2, -2, (1, 2), [-1, -2], (3, 1), (1, 2, 3))),
        *(L.LayerNormalization(center=center, scale=scale) for center in (True, False) for scale in (True, False)),
        *(L.LayerNormalization(epsilon=epsilon) for epsilon in (0.5, 1e-6)),
    )


def test_layer_normalization_reshapes_what_it_scales_by(tmp_path: Path) -> None:
    """Keras sorts [1, -1] to [-1, 1], makes a gamma of (6, 4), and reshapes it to (4, 1, 6)."""
    side_by_side(tmp_path, IMAGE, L.LayerNormalization(axis=[1, -1]), L.LayerNormalization(axis=[-1, 2, 1]))


def test_layer_normalization_with_rms_scaling_keeps_the_mean(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*rms_scaling.*", category=UserWarning)
        side_by_side(
            tmp_path,
            IMAGE,
            *(L.LayerNormalization(axis=axis, rms_scaling=True, scale=False) for axis in (-1, 2, (1, 3))),
            L.LayerNormalization(rms_scaling=True, center=False, epsilon=0.1),
        )


def test_layer_normalization_across_the_batch(tmp_path: Path) -> None:
    plain = {"center": False, "scale": False}
    made = [L.LayerNormalization(axis=axis, **plain) for axis in (0, (0, 3), (0, 1, 2, 3))]
    side_by_side(tmp_path, IMAGE, *made, batch=3)
    x = keras.Input(batch_shape=(3, 4))
    assert_same(
        keras.Model(x, [L.LayerNormalization(axis=[0, 1])(x), L.LayerNormalization(axis=0)(x)]), tmp_path, batch=3
    )


@pytest.mark.parametrize("shape", [(6,), (7, 6), (4, 5, 6), (2, 3, 2, 6)], ids=str)
def test_group_normalization(shape: Shape, tmp_path: Path) -> None:
    side_by_side(
        tmp_path,
        shape,
        *(L.GroupNormalization(groups=groups) for groups in (1, 2, 3, *((6, -1) if len(shape) > 1 else ()))),
        L.GroupNormalization(groups=2, center=False),
        L.GroupNormalization(groups=3, scale=False, epsilon=0.1),
    )


def test_group_normalization_of_single_elements(tmp_path: Path) -> None:
    """They are their own mean. Keras takes x * scale - mean * scale, which leaves some rounding."""
    x = keras.Input((6,))
    model = keras.Model(x, [L.GroupNormalization(groups=6)(x), L.GroupNormalization(groups=-1)(x)])
    assert_same(model, tmp_path, kind="float32")


def test_group_normalization_of_other_axes(tmp_path: Path) -> None:
    side_by_side(
        tmp_path,
        (4, 6, 8),
        *(L.GroupNormalization(groups=groups, axis=axis) for axis in (1, 2, -2, -3, 3) for groups in (2, -1, 1)),
    )


def test_group_normalization_channels_first_between_convolutions(tmp_path: Path) -> None:
    x = keras.Input((3, 7, 7))
    y = L.Conv2D(8, 3, data_format="channels_first")(x)
    y = L.Activation("silu")(L.GroupNormalization(groups=4, axis=1)(y))
    y = L.LayerNormalization(axis=1)(y)
    assert_same(keras.Model(x, L.Conv2D(4, 1, data_format="channels_first")(y)), tmp_path, batch=1)


def test_rms_normalization(tmp_path: Path) -> None:
    axes: list[Any] = [-1, 3, (1, 2, 3), [2, 3], [-1, -2]]
    side_by_side(
        tmp_path, (4, 5, 5), *(L.RMSNormalization(axis=axis) for axis in axes), L.RMSNormalization(epsilon=0.3)
    )
    side_by_side(tmp_path, (4, 4, 4), *(L.RMSNormalization(axis=axis) for axis in (1, (1, 2))))


def test_unit_normalization(tmp_path: Path) -> None:
    side_by_side(tmp_path, IMAGE, *(L.UnitNormalization(axis=axis) for axis in (-1, 1, (1, 2), [-1, 2], (1, 2, 3))))


def test_unit_normalization_of_nothing_and_of_little(tmp_path: Path) -> None:
    """Zeros stay zeros; a norm below 1e-12 counts as 1e-12."""
    model = built((3,), L.UnitNormalization())
    x = np.array([[0.0, 0.0, 0.0], [1e-13, 0.0, 0.0], [3e-10, 4e-10, 0.0]], np.float32)
    graph = load(save(model, tmp_path), batch=3)
    got = ops.evaluate(graph, {graph.inputs[0].name: x})[graph.outputs[0]]
    assert_close(got[2], np.array([0.6, 0.8, 0.0]), "reference")
    assert_close(got[1], np.array([0.1, 0.0, 0.0]), "reference")
    assert not got[0].any()
    assert_close(got[::2], predict(model, {"x": x})[0][::2], "reference")


def test_batch_normalization(tmp_path: Path) -> None:
    side_by_side(
        tmp_path,
        IMAGE,
        *(L.BatchNormalization(axis=axis) for axis in (-1, 1, 2, -2)),
        *(L.BatchNormalization(center=center, scale=scale) for center in (True, False) for scale in (True, False)),
        L.BatchNormalization(epsilon=0.2, momentum=0.5),
        L.BatchNormalization(renorm=True, renorm_clipping={"rmax": 3.0}),
        L.BatchNormalization(renorm=True, center=False, scale=False),
    )


def test_spectral_normalization_is_the_layer_in_it(tmp_path: Path) -> None:
    x = keras.Input(IMAGE)
    y = L.SpectralNormalization(L.Conv2D(4, 3, activation="relu"), power_iterations=3)(x)
    y = L.SpectralNormalization(L.Dense(5, use_bias=False))(L.Flatten()(y))
    assert_same(keras.Model(x, L.Dense(2)(y)), tmp_path)


def test_layers_of_keras_applications(tmp_path: Path) -> None:
    from keras.src.applications.convnext import LayerScale, StochasticDepth
    from keras.src.applications.inception_resnet_v2 import CustomScaleLayer

    x = keras.Input(IMAGE)
    y = StochasticDepth(0.3)(LayerScale(0.5, 6)(x))
    assert_same(keras.Model(x, [CustomScaleLayer(0.17)([y, x]), LayerScale(0.1, 1)(x)]), tmp_path)


SCALE = "'projection_dim' does not fit the input: expected 1 or 6, got 4"


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("LayerNormalization", {"axis": 4}, "axis is outside the input: expected -4 to 3, got 4"),
        ("LayerNormalization", {"axis": [3, -1]}, "'axis' is wrong: expected different axes, one at least"),
        ("LayerNormalization", {"axis": []}, "'axis' is wrong"),
        ("LayerNormalization", {"axis": "last"}, "'axis' is wrong"),
        ("LayerNormalization", {"axis": None}, "'axis' is wrong"),
        ("LayerNormalization", {"axis": [[1]]}, "'axis' is wrong"),
        ("LayerNormalization", {"axis": 1 << 70}, "'axis' is wrong"),
        ("LayerNormalization", {"epsilon": "1"}, "'epsilon' is wrong"),
        ("LayerNormalization", {"epsilon": -1.0}, "'epsilon' is wrong: expected a number from 0 up"),
        ("LayerNormalization", {"epsilon": float("nan")}, "'epsilon' is wrong"),
        ("LayerNormalization", {"epsilon": 1e39}, "'epsilon' is wrong"),
        ("LayerNormalization", {"center": 1}, "'center' is wrong"),
        ("LayerNormalization", {"rms_scaling": "yes"}, "'rms_scaling' is wrong"),
        ("GroupNormalization", {"groups": 4}, "'groups' is wrong: expected a divisor of 6, got 4"),
        ("GroupNormalization", {}, "'groups' is wrong: expected a divisor of 6, got 32"),
        ("GroupNormalization", {"groups": 0}, "'groups' is wrong: expected an integer from 1 up, or -1"),
        ("GroupNormalization", {"groups": -2}, "'groups' is wrong"),
        ("GroupNormalization", {"groups": 2.0}, "'groups' is wrong"),
        ("GroupNormalization", {"groups": 2, "axis": 0}, "'axis' is the batch"),
        ("GroupNormalization", {"groups": 2, "axis": [1]}, "'axis' is wrong"),
        ("GroupNormalization", {"groups": 2, "axis": -5}, "axis is outside the input"),
        ("RMSNormalization", {"axis": 1}, "the inputs do not broadcast"),
        ("RMSNormalization", {"axis": [1, -3]}, "'axis' is wrong"),
        ("UnitNormalization", {"axis": None}, "'axis' is wrong"),
        ("UnitNormalization", {"axis": [2, 2]}, "'axis' is wrong"),
        ("BatchNormalization", {"axis": [1, 2]}, "'axis' is wrong"),
        ("BatchNormalization", {"axis": 7}, "axis is outside the input"),
        ("BatchNormalization", {"renorm": 1}, "'renorm' is wrong"),
        ("SpectralNormalization", {}, "the layer in it is wrong"),
        ("SpectralNormalization", {"layer": {"class_name": "Nothing", "config": {}}}, "this layer is not supported"),
        ("SpectralNormalization", {"layer": layer("SimpleRNN", "b", units=2)}, "the SimpleRNN in it is not supported"),
        ("LayerScale", {"projection_dim": 4, "init_values": 0.1}, SCALE),
        ("LayerScale", {"projection_dim": 0, "init_values": 0.1}, "'projection_dim' is wrong"),
        ("LayerScale", {"init_values": 0.1}, "'projection_dim' is wrong"),
        ("CustomScaleLayer", {"scale": 1e39}, "'scale' is wrong: expected a number that float32 can hold"),
        ("CustomScaleLayer", {"scale": 0.1}, "wrong number of inputs"),
        ("CustomScaleLayer", {}, "'scale' is wrong"),
    ],
)  # fmt: skip
def test_what_is_refused(name: str, config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConvcError, match=message) as caught:
        load(sequential(layer(name, "a", **config), shape=IMAGE), weights="random")
    assert str(caught.value).startswith(f"layer 'a' ({name}): ")


@pytest.mark.parametrize(
    "where",
    [
        {"module": "my_layers", "registered_name": "LayerScale"},
        {"module": "keras.src.applications.convnext", "registered_name": "mine>LayerScale"},
    ],
)
def test_a_class_of_the_users_own_with_such_a_name_is_refused(where: dict[str, str]) -> None:
    source = called(layer("InputLayer", "x", batch_shape=[None, 4]))
    entry = {**called(layer("LayerScale", "a", projection_dim=4, init_values=0.1), "x"), **where}
    with pytest.raises(ConvcError, match="custom layers are not supported"):
        load(functional(source, entry, inputs=["x", 0, 0], outputs=["a", 0, 0]), weights="random")
