"""Opset 6: broadcasting by attributes, and slopes of channels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convc import ops
from convc.errors import UnsupportedError
from convc.frontends.onnx import load
from convc.ir import Array
from tests.support.onnx_models import feeds, model, node, refused


def computed(made: Any, **given: Array) -> Array:
    graph = load(made)
    return ops.evaluate(graph, feeds(graph) | given)[graph.outputs[0]]


X = np.arange(24, dtype=np.float32).reshape(2, 3, 4) - 12


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize(
    ("attributes", "shape", "wide"),
    [
        ({"broadcast": 1, "axis": 1}, (3,), (3, 1)),
        ({"broadcast": 1, "axis": -2}, (3,), (3, 1)),
        ({"broadcast": 1, "axis": 0}, (2, 3), (2, 3, 1)),
        ({"broadcast": 1, "axis": 2}, (4,), (4,)),
        ({"broadcast": 1}, (4,), (4,)),
        ({"broadcast": 1}, (1,), (1,)),
        ({"broadcast": 0}, (2, 3, 4), (2, 3, 4)),
        ({"consumed_inputs": [0, 0]}, (2, 3, 4), (2, 3, 4)),
    ],
)
def test_operands_at_an_axis(attributes: Any, shape: tuple[int, ...], wide: tuple[int, ...], constant: bool) -> None:
    other = np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape) + 1
    inputs = {"x": X.shape} if constant else {"x": X.shape, "b": shape}
    made = model(
        node("Sub", ["x", "b"], ["y"], **attributes), inputs=inputs, constants={"b": other} if constant else {}, opset=6
    )
    got = computed(made, x=X, **({} if constant else {"b": other}))
    np.testing.assert_array_equal(got, X - other.reshape(wide))


def test_constants_at_an_axis() -> None:
    made = model(
        node("Mul", ["c", "d"], ["e"], broadcast=1, axis=0),
        node("Add", ["x", "e"], ["y"]),
        inputs={"x": (2, 2)},
        constants={"c": [[1.0, 2.0], [3.0, 4.0]], "d": [10.0, 100.0]},
        opset=6,
    )
    got = computed(made, x=np.zeros((2, 2), np.float32))
    np.testing.assert_array_equal(got, [[10, 20], [300, 400]])


def test_slopes_are_of_channels() -> None:
    slopes = np.array([0.5, 0.25, 2], np.float32)
    made = model(node("PRelu", ["x", "s"], ["y"]), inputs={"x": X.shape}, constants={"s": slopes}, opset=6)
    np.testing.assert_array_equal(computed(made, x=X), np.where(X < 0, X * slopes[:, None], X))


def test_attributes_that_say_nothing() -> None:
    statistics = {name: np.full(3, value, np.float32) for name, value in (("s", 1), ("b", 2), ("m", 0), ("v", 1))}
    normal = node("BatchNormalization", ["x", "s", "b", "m", "v"], ["n"], is_test=1, epsilon=0.0)
    made = model(normal, node("Dropout", ["n"], ["y"], is_test=1), inputs={"x": X.shape}, constants=statistics, opset=6)
    np.testing.assert_allclose(computed(made, x=X), X + 2)


def test_operands_that_do_not_fit() -> None:
    wrong = node("Add", ["x", "b"], ["y"], name="a", broadcast=1, axis=2)
    refused(model(wrong, inputs={"x": X.shape, "b": (3, 4)}, opset=6), "node 'a' (Add): the operands do not fit")


def test_opset_5_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="its opset is not supported: expected 6 to"):
        load(model(node("Relu", ["x"], ["y"]), inputs={"x": (2,)}, opset=5))
