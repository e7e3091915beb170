"""The distributions that weights are drawn from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from convc.errors import ModelError, UnsupportedError
from convc.frontends.keras.config import Fields
from convc.frontends.keras.initializers import parse_initializer
from convc.ir import Array, Shape

SHAPE = (3, 3, 64, 128)
FAN_IN, FAN_OUT = 9 * 64, 9 * 128


def draw(name: str, shape: Shape = SHAPE, **config: Any) -> Array:
    fields = Fields({"init": {"class_name": name, "config": config}})
    value = parse_initializer(fields, "init", "zeros").draw(np.random.default_rng(0), shape)
    assert value.shape == shape
    assert value.dtype == np.float32
    return value


@pytest.mark.parametrize(
    ("name", "config", "deviation", "limit"),
    [
        ("RandomNormal", {"stddev": 0.1}, 0.1, math.inf),
        ("TruncatedNormal", {"stddev": 0.1}, 0.1 * 0.8796, 0.2),
        ("RandomUniform", {"minval": -1, "maxval": 1}, 1 / math.sqrt(3), 1),
        ("GlorotUniform", {}, math.sqrt(2 / (FAN_IN + FAN_OUT)), math.sqrt(6 / (FAN_IN + FAN_OUT))),
        ("GlorotNormal", {}, math.sqrt(2 / (FAN_IN + FAN_OUT)), 2 * math.sqrt(2 / (FAN_IN + FAN_OUT)) / 0.8796),
        ("HeUniform", {}, math.sqrt(2 / FAN_IN), math.sqrt(6 / FAN_IN)),
        ("HeNormal", {}, math.sqrt(2 / FAN_IN), 2 * math.sqrt(2 / FAN_IN) / 0.8796),
        ("LecunUniform", {}, math.sqrt(1 / FAN_IN), math.sqrt(3 / FAN_IN)),
        ("LecunNormal", {}, math.sqrt(1 / FAN_IN), 2 * math.sqrt(1 / FAN_IN) / 0.8796),
        ("VarianceScaling", {"scale": 3, "mode": "fan_out", "distribution": "untruncated_normal"},
         math.sqrt(3 / FAN_OUT), math.inf),
        ("VarianceScaling", {"scale": 3, "mode": "fan_out", "distribution": "uniform"},
         math.sqrt(3 / FAN_OUT), math.sqrt(9 / FAN_OUT)),
    ],
)  # fmt: skip
def test_spread(name: str, config: dict[str, Any], deviation: float, limit: float) -> None:
    value = draw(name, **config)
    assert abs(float(value.mean())) < 0.02 * deviation
    assert float(value.std()) == pytest.approx(deviation, rel=0.01)
    assert float(np.abs(value).max()) <= limit * 1.001
    assert limit == math.inf or float(np.abs(value).max()) > 0.98 * limit


def test_fixed_values() -> None:
    assert (draw("Zeros") == 0).all()
    assert (draw("Ones") == 1).all()
    assert (draw("Constant", value=0.25) == 0.25).all()
    assert np.array_equal(draw("Identity", (2, 3), gain=2), [[2, 0, 0], [0, 2, 0]])
    assert np.array_equal(draw("IdentityInitializer", (2, 2)), np.eye(2))


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (3, 2, 4)])
def test_orthogonal(shape: Shape) -> None:
    matrix = draw("Orthogonal", shape, gain=2).reshape(-1, shape[-1])
    gram = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    assert np.allclose(gram, 4 * np.eye(len(gram)), atol=1e-5)


@pytest.mark.parametrize("spelling", ["glorot_uniform", "GlorotUniform", "glorotuniform"])
def test_names_in_every_spelling(spelling: str) -> None:
    value = parse_initializer(Fields({"init": spelling}), "init", "zeros")
    assert value == parse_initializer(Fields({}), "init", "glorot_uniform")


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("zero", "Zeros"), ("one", "Ones"), ("uniform", "RandomUniform"), ("normal", "RandomNormal"),
        ("lecun_normal", "LecunNormal"), ("he_uniform", "HeUniform"), ("truncated_normal", "TruncatedNormal"),
        ("orthogonal", "OrthogonalInitializer"), ("identity", "IdentityInitializer"),
        ("variance_scaling", "VarianceScaling"),
    ],
)  # fmt: skip
def test_aliases(spelling: str, name: str) -> None:
    value = parse_initializer(Fields({"init": spelling}), "init", "glorot_uniform")
    assert value == parse_initializer(Fields({"init": {"class_name": name, "config": {}}}), "init", "glorot_uniform")
    assert value != parse_initializer(Fields({}), "init", "glorot_uniform")


def test_null_is_glorot_s_as_in_keras() -> None:
    assert parse_initializer(Fields({"init": None}), "init", "zeros") == parse_initializer(
        Fields({}), "init", "glorot_uniform"
    )


ARRAY = [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    ("config", "shape", "want"),
    [
        ({"class_name": "Constant", "config": {"value": ARRAY}}, (2, 2), ARRAY),
        ({"class_name": "Constant", "config": {"value": [5.0, 6.0]}}, (2, 2), [[5, 6], [5, 6]]),
        ({"class_name": "Constant", "config": {"value": {"class_name": "__numpy__", "config": {
            "value": [[5.0], [6.0]], "dtype": "float32"}}}}, (2, 2), [[5, 5], [6, 6]]),
        ({"class_name": "__numpy__", "config": {"value": ARRAY, "dtype": "float32"}}, (2, 2), ARRAY),
        ({"class_name": "__tensor__", "config": {"value": 3.0, "dtype": "float32"}}, (), 3.0),
    ],
)  # fmt: skip
def test_arrays(config: dict[str, Any], shape: Shape, want: Any) -> None:
    value = parse_initializer(Fields({"init": config}), "init", "zeros").draw(np.random.default_rng(0), shape)
    assert value.dtype == np.float32
    assert np.array_equal(value, np.float32(want))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"class_name": "Constant", "config": {"value": [1.0, 2.0, 3.0]}},
            "has the wrong shape: expected .2, 2., got .3,",
        ),
        ({"class_name": "Constant", "config": {"value": [[[1.0]]]}}, "the wrong shape"),
        ({"class_name": "Constant", "config": {"value": [[1.0], [1.0, 2.0]]}}, "the array of an initializer is wrong"),
        ({"class_name": "Constant", "config": {"value": "x"}}, "the array of an initializer is wrong"),
        ({"class_name": "__numpy__", "config": {"value": [1.0, 2.0]}}, "the wrong shape"),
        (
            {"class_name": "GlorotNormal", "config": {"input_axes": [0], "output_axes": [2]}},
            "an axis of an initializer is outside",
        ),
        ({"class_name": "GlorotNormal", "config": {"input_axes": [0], "output_axes": "x"}}, "'output_axes' is wrong"),
        ([1.0], "'init' is wrong: expected the name or config of an initializer"),
        ("", "'init' is wrong"),
    ],
)
def test_what_does_not_suit_the_weight(config: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        parse_initializer(Fields({"init": config}), "init", "zeros").draw(np.random.default_rng(0), (2, 2))


@pytest.mark.parametrize(("inputs", "outputs", "fan"), [([0], [1], 30), ([0, 1], [2], 30 * 40), (None, [1], 30 * 40)])
def test_axes_decide_the_fans(inputs: Any, outputs: Any, fan: int) -> None:
    value = draw("LecunUniform", (30, 40, 50), input_axes=inputs, output_axes=outputs)
    assert float(np.abs(value).max()) == pytest.approx(math.sqrt(3 / fan), rel=0.01)


@pytest.mark.parametrize("name", ["STFT", "STFTInitializer", "stft"])
def test_windows_of_fourier_are_refused(name: str) -> None:
    with pytest.raises(UnsupportedError, match=f"the initializer '{name}' is not supported .pass a file with weights"):
        draw(name, (3, 3))


def test_a_weight_too_large_to_be_orthogonal_is_refused_at_once() -> None:
    with pytest.raises(UnsupportedError, match="too large to be made orthogonal"):
        parse_initializer(Fields({"init": "orthogonal"}), "init", "zeros").draw(
            np.random.default_rng(0), (1 << 14,) * 2
        )


def test_fans_of_vectors_and_scalars() -> None:
    assert float(np.abs(draw("LecunUniform", (10_000,))).max()) == pytest.approx(math.sqrt(3 / 10_000), rel=0.01)
    assert draw("LecunUniform", ()).shape == ()


def test_an_unknown_initializer_matters_only_when_drawn() -> None:
    unknown = parse_initializer(Fields({"init": {"class_name": "Mine", "config": {}}}), "init", "zeros")
    with pytest.raises(UnsupportedError, match="the initializer 'Mine' is not supported"):
        unknown.draw(np.random.default_rng(0), (2,))


@pytest.mark.parametrize(
    ("name", "shape", "config"),
    [
        ("Orthogonal", (3,), {}),
        ("Identity", (3, 3, 3), {}),
        ("VarianceScaling", (3, 3), {"scale": 0}),
        ("VarianceScaling", (3, 3), {"mode": "fan"}),
        ("Constant", (3,), {"value": math.nan}),
    ],
)
def test_what_makes_no_sense_is_refused(name: str, shape: Shape, config: dict[str, Any]) -> None:
    with pytest.raises(ModelError):
        draw(name, shape, **config)
