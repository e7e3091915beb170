"""Activations by name, as config objects, as objects of layers, and as layers of their own; what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convc import ops
from convc.errors import ConvcError, ModelError, ShapeError, UnsupportedError
from convc.frontends.keras import load
from tests.support.configs import Config, layer, sequential
from tests.support.keras import assert_same, keras
from tests.support.keras import sequential as model

L = keras.layers

NAMES = (
    "celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear "
    "log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus "
    "sparse_sigmoid sparsemax squareplus swish tanh tanh_shrink"
)


def test_every_name_of_keras_is_known() -> None:
    known = set(keras.src.activations.ALL_OBJECTS_DICT)
    assert known - set(NAMES.split()) == {"threshold"}


@pytest.mark.parametrize("name", NAMES.split())
def test_by_name(name: str, tmp_path: Path) -> None:
    graph = assert_same(model((5, 12), L.Rescaling(3.0), L.Activation(name)), tmp_path)
    assert graph.outputs[0].type.shape == (2, 5, 6 if name == "glu" else 12)


@pytest.mark.parametrize("name", ["relu", "swish", "log_softmax", "mish"])
def test_by_function_and_in_other_layers(name: str, tmp_path: Path) -> None:
    function = getattr(keras.activations, name)
    assert_same(model((6, 5, 3), L.Conv2D(4, 2, activation=function), L.Dense(5, activation=name)), tmp_path)


LAYERS: dict[str, tuple[Callable[[], Any], ops.Relu | ops.Elu | ops.Softmax | ops.Tanh]] = {
    "relu": (lambda: L.ReLU(max_value=2.0, threshold=0.5), ops.Relu(2.0, 0.0, 0.5)),
    "leaky relu": (lambda: L.LeakyReLU(0.1), ops.Relu(negative_slope=0.1)),
    "elu": (lambda: L.ELU(0.5), ops.Elu(0.5)),
    "softmax": (lambda: L.Softmax(axis=1), ops.Softmax((1,))),
    "activation": (lambda: L.Activation("tanh"), ops.Tanh()),
}


@pytest.mark.parametrize("name", LAYERS)
def test_objects_of_layers(name: str, tmp_path: Path) -> None:
    made, op = LAYERS[name]
    graph = assert_same(model((4, 3), L.Dense(5, activation=made())), tmp_path)
    assert graph.outputs[0].op == op
    assert_same(model((4, 3), L.Activation(made())), tmp_path)


def test_an_identity_as_activation(tmp_path: Path) -> None:
    graph = assert_same(model((4, 3), L.Dense(5, activation=L.Identity())), tmp_path)
    assert isinstance(graph.outputs[0].op, ops.Dense)


@pytest.mark.parametrize(
    "config",
    [
        "relu",
        {"class_name": "function", "config": "relu", "module": "builtins", "registered_name": "function"},
        {"class_name": "ReLU", "config": {"name": "r"}, "module": "keras.layers", "registered_name": None},
        {"class_name": "ReLU", "config": {}},
        {"class_name": "Activation", "config": {"activation": {"class_name": "ReLU", "config": {}}}},
    ],
)  # fmt: skip
def test_forms_of_one_activation(config: Any) -> None:
    graph = load(sequential(layer("Dense", "d", units=2, activation=config)), weights="random")
    assert graph.outputs[0].op == ops.Relu()


def deep(levels: int) -> Config:
    value: Config = {"class_name": "Activation", "config": {"activation": "relu"}}
    for _ in range(levels):
        value = {"class_name": "Activation", "config": {"activation": value}}
    return value


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("rely", r"this activation is not supported: got 'rely' .the nearest that is supported is relu"),
        ("ReLU", "this activation is not supported: got 'ReLU'"),
        ("threshold", "needs arguments, which a name does not give"),
        ("package>relu", "this activation is not supported: got 'package>relu'"),
        (3, "this activation is not supported: got 3"),
        (["relu"], "this activation is not supported"),
        ({"class_name": "__lambda__", "config": {"value": "x"}}, "is a lambda: Python code"),
        ({"class_name": "PReLU", "config": {}}, "PReLU, which has weights, .*put a PReLU layer behind it"),
        ({"class_name": "ReLU", "config": {}, "registered_name": "mine>ReLU"}, "not supported: got ReLU"),
        ({"class_name": "ReLU", "config": {}, "module": "mine"}, "not supported: got ReLU"),
        ({"class_name": "ReLU", "config": 3}, "not supported: got ReLU"),
        ({"class_name": "Stranger", "config": {}}, "not supported: got Stranger"),
        ({"class_name": "function", "config": {"a": 1}}, "not supported: got function"),
        (deep(100), "not supported: got Activation"),
    ],
)
def test_what_is_refused_by_name(config: Any, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message) as caught:
        load(sequential(layer("Activation", "act", activation=config)))
    assert str(caught.value).startswith("layer 'act' (Activation): ")


@pytest.mark.parametrize(
    ("shape", "made"),
    [
        ((60,), lambda: L.ReLU()),
        ((60,), lambda: L.ReLU(max_value=1.0)),
        ((60,), lambda: L.ReLU(max_value=6)),
        ((60,), lambda: L.ReLU(max_value=0.0)),
        ((60,), lambda: L.ReLU(negative_slope=0.2)),
        ((60,), lambda: L.ReLU(negative_slope=1.5)),
        ((60,), lambda: L.ReLU(threshold=0.5)),
        ((60,), lambda: L.ReLU(max_value=6.0, negative_slope=0.1)),
        ((60,), lambda: L.ReLU(max_value=1.0, negative_slope=0.3, threshold=0.5)),
        ((60,), lambda: L.ReLU(max_value=0.5, negative_slope=0.3, threshold=1.0)),
        ((60,), lambda: L.LeakyReLU()),
        ((60,), lambda: L.LeakyReLU(negative_slope=0)),
        ((60,), lambda: L.LeakyReLU(negative_slope=2.0)),
        ((60,), lambda: L.ELU()),
        ((60,), lambda: L.ELU(alpha=-0.5)),
        ((5, 7), lambda: L.PReLU()),
        ((5, 7), lambda: L.PReLU(shared_axes=[1])),
        ((4, 5, 3), lambda: L.PReLU(shared_axes=[1, 2])),
        ((4, 5, 3), lambda: L.PReLU(shared_axes=(3, 1))),
        ((4, 5, 3), lambda: L.PReLU(shared_axes=2)),
        ((60,), lambda: L.Softmax()),
        ((4, 5, 3), lambda: L.Softmax(axis=1)),
        ((4, 5, 3), lambda: L.Softmax(axis=(1, -1))),
        ((4, 5, 3), lambda: L.Softmax(axis=[2])),
    ],
)
def test_layers(shape: tuple[int, ...], made: Callable[[], Any], tmp_path: Path) -> None:
    assert_same(model(shape, L.Rescaling(2.0), made()), tmp_path)


def test_prelu_is_one_node(tmp_path: Path) -> None:
    graph = assert_same(model((4, 4, 3), L.Conv2D(5, 3), L.PReLU(shared_axes=[1, 2])), tmp_path)
    assert isinstance(graph.outputs[0].op, ops.PRelu)
    assert graph.outputs[0].inputs[1].type.shape == (1, 1, 5)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (layer("ReLU", "it", max_value=-1.0), "'max_value' is wrong: expected a number from 0 up"),
        (layer("ReLU", "it", threshold=-1.0), "'threshold' is wrong: expected a number from 0 up"),
        (layer("ReLU", "it", negative_slope=-0.1), "'negative_slope' is wrong: expected a number from 0 up"),
        (layer("ReLU", "it", max_value="6"), "'max_value' is wrong: expected a finite number"),
        (layer("LeakyReLU", "it", negative_slope=-0.1), "'negative_slope' is wrong: expected a number from 0 up"),
        (layer("ELU", "it", alpha=[1.0]), "'alpha' is wrong: expected a finite number"),
        (layer("PReLU", "it", shared_axes=[0]), "'shared_axes' is wrong"),
        (layer("PReLU", "it", shared_axes=[4]), "'shared_axes' is wrong"),
        (layer("PReLU", "it", shared_axes="1"), "'shared_axes' is wrong"),
        (layer("Softmax", "it", axis=4), "axis is outside the input: expected -4 to 3, got 4"),
        (layer("Softmax", "it", axis=[1, 1.5]), "'axis' is wrong"),
        (layer("Softmax", "it", axis="last"), "'axis' is wrong"),
    ],
)
def test_arguments_that_are_wrong(entry: Config, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        load(sequential(entry), weights="random")
    assert str(caught.value).startswith(f"layer 'it' ({entry['class_name']}): ")


def test_glu_needs_two_halves() -> None:
    with pytest.raises(ShapeError, match="axis 3 has no two halves: expected an even size, got 3"):
        load(sequential(layer("Activation", "act", activation="glu")))


def test_sparsemax_of_long_axes_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"the axis of sparsemax is too long.*expected at most 16777216 pairs"):
        load(sequential(layer("Activation", "act", activation="sparsemax"), shape=(5000,)))


def test_keras_2_has_another_hard_sigmoid(tmp_path: Path) -> None:
    config = sequential(layer("Activation", "act", activation="hard_sigmoid"), shape=(4,))
    old = {**config, "keras_version": "2.15.0"}
    assert load(config).outputs[0].op == ops.HardSigmoid()
    assert load(old).outputs[0].op == ops.HardSigmoid(0.2, 0.5)


def test_the_mask_of_softmax(tmp_path: Path) -> None:
    k = keras.ops
    x, y = keras.Input((4, 3), name="x"), keras.Input((4, 3), name="y")
    z = keras.Input((3,), name="z")
    outputs = [
        L.Softmax()(x, mask=y > 0), L.Softmax()(x, y), L.Softmax(axis=1)(x, mask=k.cast(y * 3, "int32")),
        L.Softmax(axis=[1, 2])(x, mask=y > 0.3), L.Softmax()(x, mask=k.expand_dims(z, 1)),
    ]  # fmt: skip
    graph = assert_same(keras.Model([x, y, z], outputs), tmp_path)
    ones = np.ones((2, 4, 3), np.float32)
    values = ops.evaluate(graph, {"x": ones, "y": -ones, "z": ones[:, 0]})
    assert not values[graph.outputs[0]].any()


def test_the_mask_of_softmax_must_fit(tmp_path: Path) -> None:
    config: Any = keras.Model(
        [x := keras.Input((4, 3), name="x"), y := keras.Input((4, 3), name="y")], L.Softmax(name="s")(x, y)
    ).get_config()
    config["layers"][1]["config"]["batch_shape"] = [None, 2, 4, 3]
    with pytest.raises(ConvcError, match=r"layer 's' .Softmax.: the mask does not broadcast to the input"):
        load({"class_name": "Functional", "config": config})
