"""Constant folding, dropping what does nothing, merging reshapes."""

from __future__ import annotations

import numpy as np
import pytest

from convc.ir import Array, DType, Graph, Op, Origin, TensorType, make
from convc.ops import (
    Abs,
    Add,
    AvgPool,
    Cast,
    Ceil,
    Concat,
    Constant,
    Divide,
    Exp,
    Floor,
    HardSigmoid,
    Input,
    MaxPool,
    Multiply,
    Pad,
    Relu,
    Reshape,
    Round,
    Sigmoid,
    Softplus,
    Square,
    Subtract,
    Tanh,
    Transpose,
    Trunc,
    constant,
)
from convc.passes import simplify
from convc.passes.rule import Rule
from convc.passes.simplify import DivideToMultiply, DropIdentity, FoldConstant, MergeReshape, SubtractToAdd
from tests.passes.graphs import Net, apply, assert_applied, assert_refused, kinds

ORIGIN = Origin("c", "Constant")


def test_constant_expressions_are_computed() -> None:
    net = Net()
    folded = net.op(Tanh(), net.op(Add(), net.weights(3), net.weights(2, 1)))
    after = assert_applied(net.graph(net.op(Multiply(), net.input(2, 3), folded)), FoldConstant(), times=2)
    assert kinds(after) == ["Multiply"]


def test_integers_stay_integers() -> None:
    net = Net()
    values = constant(np.array([[1, 2], [3, 4]]), ORIGIN)
    (output,) = apply(net.graph(net.op(Transpose((1, 0)), values)), FoldConstant()).graph.outputs
    assert isinstance(output.op, Constant)
    np.testing.assert_array_equal(output.op.value, np.array([[1, 3], [2, 4]], np.int32), strict=True)


def test_large_constants_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simplify, "MAX_FOLDED_ELEMENTS", 100)
    net = Net()
    graph = net.graph(net.op(Add(), net.weights(11, 1), net.weights(1, 11)))
    assert_refused(graph, FoldConstant(), reason="its result has 121 elements, more than 100")


def test_costly_constants_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simplify, "MAX_FOLDED_FLOPS", 100)
    net = Net()
    graph = net.graph(net.dense(net.weights(3, 6), 3))
    assert_refused(graph, FoldConstant(), reason="it takes 108 operations, more than 100")


def test_what_reads_an_input_is_not_constant() -> None:
    net = Net()
    assert apply(net.graph(net.op(Add(), net.input(3), net.weights(3))), FoldConstant()).decisions == ()


@pytest.mark.parametrize(
    "op",
    [
        Reshape((2, 4, 4, 3)),
        Transpose((0, 1, 2, 3)),
        Pad(((0, 0),) * 4, 3.0),
        Concat(1),
        MaxPool((1, 1), (1, 1), ((0, 0), (0, 0))),
        AvgPool((1, 1), (1, 1), ((0, 0), (0, 0))),
    ],
    ids=str,
)
def test_identities_are_dropped(op: Op) -> None:
    net = Net()
    graph = net.graph(net.op(op, net.op(Tanh(), net.input(2, 4, 4, 3))))
    assert kinds(assert_applied(graph, DropIdentity())) == ["Tanh"]


@pytest.mark.parametrize(
    "op",
    [
        Reshape((2, 48)),
        Transpose((0, 2, 1, 3)),
        Pad(((0, 0), (0, 0), (0, 0), (0, 1))),
        MaxPool((1, 1), (2, 1), ((0, 0), (0, 0))),
        MaxPool((2, 1), (1, 1), ((0, 0), (0, 0))),
        MaxPool((2, 2), (1, 1), ((1, 0), (1, 0))),
        Relu(),
    ],
    ids=str,
)
def test_what_does_something_stays(op: Op) -> None:
    net = Net()
    assert apply(net.graph(net.op(op, net.input(2, 4, 4, 3))), DropIdentity()).decisions == ()


@pytest.mark.parametrize("constant_first", [False, True])
@pytest.mark.parametrize(
    ("op", "value", "dropped"),
    [
        (Add(), np.zeros(3), True),
        (Add(), np.zeros((1, 4, 1, 1)), True),
        (Multiply(), np.ones(()), True),
        (Add(), np.array([0.0, 0.0, 1e-30]), False),
        (Multiply(), np.array([1.0, 1.0, 0.0]), False),
        (Add(), np.zeros((2, 1, 4, 4, 3)), False),
    ],
)
def test_neutral_constants(op: Op, value: Array, dropped: bool, constant_first: bool) -> None:
    net = Net()
    operands = [net.op(Tanh(), net.input(2, 4, 4, 3)), constant(value, ORIGIN)]
    graph = net.graph(net.op(op, *(reversed(operands) if constant_first else operands)))
    assert len(apply(graph, DropIdentity()).decisions) == dropped


@pytest.mark.parametrize(
    ("outer", "inner", "dropped"),
    [
        (Relu(), Relu(), True),
        (Relu(), Relu(max_value=6.0), True),
        (Relu(max_value=6.0), Relu(max_value=6.0), True),
        (Relu(max_value=6.0), Relu(max_value=4.0), True),
        (Relu(negative_slope=0.1), Relu(), True),
        (Relu(), Relu(threshold=1.0), True),
        (Relu(), Abs(), True),
        (Relu(), Exp(), True),
        (Relu(), HardSigmoid(), True),
        (Relu(), Sigmoid(), True),
        (Relu(), Softplus(), True),
        (Relu(), Square(), True),
        (Relu(max_value=6.0), Sigmoid(), False),
        (Relu(max_value=6.0), Relu(), False),
        (Relu(max_value=6.0), Relu(max_value=8.0), False),
        (Relu(), Relu(negative_slope=0.1), False),
        (Relu(threshold=1.0), Relu(), False),
        (Relu(), Relu(threshold=-1.0), False),
        (Relu(), Relu(max_value=-1.0), False),
        (Relu(), Tanh(), False),
    ],
    ids=str,
)
def test_relu_of_what_is_not_negative(outer: Relu, inner: Op, dropped: bool) -> None:
    net = Net()
    graph = net.graph(net.op(outer, net.op(inner, net.input(50, 50))))
    if dropped:
        assert_applied(graph, DropIdentity())
    else:
        assert apply(graph, DropIdentity()).decisions == ()


def test_reshapes_merge() -> None:
    net = Net()
    inner = net.op(Reshape((4, 6)), net.input(2, 3, 4))
    after = assert_applied(net.graph(net.op(Reshape((8, 3)), inner), inner), MergeReshape())
    assert [node.inputs[0].op.kind for node in after.outputs] == ["Input", "Input"]


def test_constants_keep_their_layer() -> None:
    net = Net()
    node = make(Tanh(), net.weights(3), origin=Origin("tanh_3", "Activation"))
    (output,) = apply(net.graph(node), FoldConstant()).graph.outputs
    assert output.name == "tanh_3"


def test_differences_and_quotients_by_constants() -> None:
    """So that they are folded like sums and products."""
    net = Net()
    x = net.op(Tanh(), net.input(2, 3))
    shift, scale = (constant(np.array(value), ORIGIN) for value in ([1.0, -2.0, 0.0], [4.0, -3.0, 1e30]))
    after = assert_applied(net.graph(net.op(Subtract(), x, shift)), SubtractToAdd())
    assert kinds(after) == ["Tanh", "Add"]
    np.testing.assert_array_equal(value_of(after), np.array([-1.0, 2.0, 0.0], np.float32))
    after = assert_applied(net.graph(net.op(Divide(), x, scale)), DivideToMultiply())
    assert kinds(after) == ["Tanh", "Multiply"]
    np.testing.assert_array_equal(value_of(after), (1 / np.array([4.0, -3.0, 1e30])).astype(np.float32))


def value_of(graph: Graph) -> Array:
    """The constant that the output reads."""
    op = graph.outputs[0].inputs[1].op
    assert isinstance(op, Constant)
    return op.value


@pytest.mark.parametrize("value", [0.0, 1e-39, 3e38, np.inf, np.nan])
def test_divisors_without_a_precise_inverse_are_refused(value: float) -> None:
    net = Net()
    divisor = constant(np.array([1.0, value, 2.0]), ORIGIN)
    graph = net.graph(net.op(Divide(), net.op(Tanh(), net.input(2, 3)), divisor))
    reason = "float32 has no precise inverse of what it divides by"
    assert_refused(graph, DivideToMultiply(), reason=reason, culprit="c")


@pytest.mark.parametrize("step", [Round(), Floor(), Ceil(), Trunc(), Cast(DType.INT32)], ids=lambda op: op.kind)
def test_quotients_that_are_rounded_stay(step: Op) -> None:
    net = Net()
    quotient = net.op(Divide(), net.input(2, 3), constant(np.full(1, 0.1), ORIGIN), name="quotient")
    graph = net.graph(net.op(step, quotient, name="step"))
    assert_refused(graph, DivideToMultiply(), reason="step rounds the quotient, whose last bit decides where to",
                   culprit="step")  # fmt: skip


@pytest.mark.parametrize("rule", [SubtractToAdd(), DivideToMultiply()], ids=lambda rule: rule.name)
def test_only_the_second_operand_counts(rule: Rule) -> None:
    net = Net()
    x, c = net.op(Tanh(), net.input(2, 3)), net.weights(3)
    for op in (Subtract(), Divide()):
        assert apply(net.graph(net.op(op, c, x)), rule).decisions == ()
        assert apply(net.graph(net.op(op, x, x)), rule).decisions == ()
        assert apply(net.graph(net.op(op, c, c)), rule).decisions == ()


def test_integers_are_subtracted_as_they_are() -> None:
    x = make(Input(TensorType((3,), DType.INT32)), origin=ORIGIN)
    node = make(Subtract(), x, constant(np.array([1, 2, 3]), ORIGIN), origin=ORIGIN)
    assert apply(Graph("g", (x,), (node,), ("y",)), SubtractToAdd()).decisions == ()
