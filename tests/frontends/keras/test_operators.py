"""Functions of keras.ops as layers, on tensors and constants: against Keras, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convc import ops
from convc.errors import ConvcError, UnsupportedError
from convc.frontends.keras import load
from convc.ir import Graph
from tests.support.configs import Config, called, functional, layer, tensor
from tests.support.keras import assert_same, keras

L = keras.layers
VECTOR = np.array([0.5, -2.0, 3.0], np.float32)
PLANE = np.arange(12, dtype=np.float32).reshape(4, 1, 3)
SOURCE = called(layer("InputLayer", "x", batch_shape=[None, 4]))


@pytest.mark.parametrize("name", ["add", "multiply", "subtract"])
def test_tensors_and_constants_on_either_side(name: str, tmp_path: Path) -> None:
    function = getattr(keras.ops, name)
    x, y = keras.Input((4, 5, 3), name="x"), keras.Input((1, 5, 1), name="y")
    flat = L.Reshape((5, 1))(y)
    outputs = [
        function(x, y), function(y, x), function(x, x), function(x, 1.7), function(3, x), function(x, VECTOR),
        function(PLANE, x), function(keras.ops.convert_to_tensor(VECTOR), y), function(flat, PLANE[None, :, :, :1]),
    ]  # fmt: skip
    assert_same(keras.Model([x, y], outputs), tmp_path, batch=1)


def test_tensors_of_different_ranks(tmp_path: Path) -> None:
    x, y = keras.Input((4, 2, 3), name="x"), keras.Input((2, 3), name="y")
    assert_same(keras.Model([x, y], [x - y, y - x]), tmp_path, batch=1)


def test_a_number_beside_a_scalar_is_a_scalar(tmp_path: Path) -> None:
    x = keras.Input((4, 3), name="x")
    total = keras.ops.sum(x)
    assert_same(keras.Model(x, [total + 1.0, 2 - total, total * total]), tmp_path)


def test_operators_of_python_as_mobilenet_v3_uses_them(tmp_path: Path) -> None:
    x = keras.Input((6, 6, 3))
    y = L.Conv2D(4, 1)(x)
    gate = L.ReLU(6.0)(L.Conv2D(4, 1)(y) + 3.0) * (1.0 / 6.0)
    assert_same(keras.Model(x, L.Dense(2)(2 - y * gate)), tmp_path)


def test_operators_do_not_count_in_the_paths_of_weights(tmp_path: Path) -> None:
    """Keras numbers variables by layers; the operators between them have none."""
    x = keras.Input((3,))
    inner = keras.Sequential([keras.Input((3,)), L.Dense(3)])
    y = L.Dense(3)(inner(x + 1.0) * 2.0)
    assert_same(keras.Model(x, [L.Add()([y, x]), inner(y - 0.5)]), tmp_path)


def test_the_layer_subtract(tmp_path: Path) -> None:
    x, y = keras.Input((4, 5, 3), name="x"), keras.Input((1, 5, 1), name="y")
    assert_same(keras.Model([x, y], [L.Subtract()([x, y]), L.Subtract()([y, x])]), tmp_path)


def operator(kind: str, *args: Any, **kwargs: Any) -> Config:
    """An entry for a function of keras.ops that is called once."""
    entry = {**called(layer(kind, "op")), "module": "keras.src.ops.numpy"}
    return {**entry, "inbound_nodes": [{"args": list(args), "kwargs": kwargs}]}


def model(entry: Config) -> Config:
    return functional(SOURCE, entry, inputs=["x", 0, 0], outputs=["op", 0, 0])


def constant(value: Any, dtype: str = "float32", kind: str = "__numpy__") -> Config:
    return {"class_name": kind, "config": {"value": value, "dtype": dtype}}


def evaluated(graph: Graph) -> Any:
    x = np.array([[1.0, 2.0, 3.0, 4.0]], np.float32)
    return ops.evaluate(graph, {"x": x})[graph.outputs[0]]


def test_the_order_of_the_operands_matters() -> None:
    numbers = [10.0, 20.0, 30.0, 40.0]
    for value in (numbers, constant(numbers), constant(numbers, kind="__tensor__"), constant(numbers, "float16")):
        left = evaluated(load(model(operator("Subtract", value, tensor("x")))))
        right = evaluated(load(model(operator("Subtract", tensor("x"), value))))
        assert np.array_equal(left, [[9.0, 18.0, 27.0, 36.0]])
        assert np.array_equal(right, -left)


def deep(levels: int) -> Any:
    value: Any = 1.0
    for _ in range(levels):
        value = [value]
    return value


X = tensor("x")
NO_INPUT = "wrong number of inputs: expected a tensor or a constant, got nothing"
NO_CONSTANT = "the call argument is not supported: expected a tensor, or a constant of numbers that float32 can hold"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (operator("Add", X, math.nan), NO_CONSTANT),
        (operator("Add", math.inf, X), NO_CONSTANT),
        (operator("Add", X, 1e39), NO_CONSTANT),
        (operator("Add", X, 10**400), NO_CONSTANT),
        (operator("Add", X, True), NO_CONSTANT),
        (operator("Add", X, "1"), NO_CONSTANT),
        (operator("Add", X, None), NO_INPUT),
        (operator("Add", X, []), NO_CONSTANT),
        (operator("Add", X, [[1.0], [1.0, 2.0]]), NO_CONSTANT),
        (operator("Add", X, [1.0, [1.0]]), NO_CONSTANT),
        (operator("Add", X, ["1", "2", "3", "4"]), NO_CONSTANT),
        (operator("Add", X, deep(9)), NO_CONSTANT),
        (operator("Add", X, deep(100_000)), "the arguments of a call are nested too deeply: expected at most 64"),
        (operator("Add", X, [X, X]), NO_CONSTANT),
        (operator("Add", X, {"class_name": "__numpy__"}), "the constant's dtype is not supported"),
        (operator("Add", X, constant([1.0, math.nan])), NO_CONSTANT),
        (operator("Add", X, constant([1, 2, 3, 1 << 31], "int64")), "a constant of integers that int32 can hold"),
        (operator("Add", X, constant([1, 2, 3, 0.5], "int32")), "a constant of integers that int32 can hold"),
        (operator("Add", X, constant(1.0, "float64")), "dtype is not supported: expected float32, got 'float64'"),
        (operator("Add", X, constant([1.0, 2.0])), "the inputs do not broadcast"),
        (operator("Add", X), NO_INPUT),
        (operator("Add", X, X, 3.0), "wrong number of inputs: expected 2, got 3"),
        (operator("Add", 1.0, 2.0), "a call reads no tensor"),
        (operator("Multiplly", X, 3.0), "not supported .the nearest that is supported is keras.ops.multiply"),
        (operator("AStranger", X, 3.0), "this function of keras.ops is not supported .docs/supported.md"),
        ({**operator("Add", X, X), "inbound_nodes": 3}, "'inbound_nodes' is wrong"),
        ({**operator("Add", X, X), "inbound_nodes": [[["x", 0, 0, {}]]]}, "wrong number of inputs"),
    ],
)  # fmt: skip
def test_what_is_refused(entry: Config, message: str) -> None:
    with pytest.raises(ConvcError, match=message) as caught:
        load(model(entry))
    assert str(caught.value).startswith(f"layer 'op' ({entry['class_name']}): ")


@pytest.mark.parametrize("value", [3.0, [3.0], constant([1.0, 2.0, 3.0, 4.0]), constant(0.0, kind="__tensor__")])
def test_layers_refuse_constants_among_their_tensors(value: Any) -> None:
    entry = called(layer("Add", "op"), "x", "x")
    entry["inbound_nodes"][0]["args"][0].append(value)
    with pytest.raises(UnsupportedError, match=r"the call argument .* is not supported: expected tensors only"):
        load(model(entry))


def test_an_operator_is_no_class_of_layer() -> None:
    with pytest.raises(UnsupportedError, match="this layer is not supported"):
        load(model(called(layer("keras.ops.add", "op"), "x", "x")))


@pytest.mark.parametrize(("name", "options"), [("MobileNetV3Small", {"alpha": 0.75}), ("EfficientNetB0", {})])
def test_models_of_keras_applications(name: str, options: dict[str, float], tmp_path: Path) -> None:
    whole = getattr(keras.applications, name)(
        input_shape=(64, 64, 3), weights=None, classes=10, classifier_activation=None, **options
    )
    graph = assert_same(whole, tmp_path, batch=1, kind="float32")
    assert graph.outputs[0].type.shape == (1, 10)
