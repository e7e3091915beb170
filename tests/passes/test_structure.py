"""Duplicates and outputs."""

from __future__ import annotations

import numpy as np

from convc.ir import Graph, Origin
from convc.ops import Add, Concat, Constant, Multiply, Relu, Reshape, Sigmoid, Tanh, constant
from convc.passes.rule import Budget
from convc.passes.structure import MaterializeOutputs, RemoveDuplicates
from tests.passes.graphs import Net, assert_same, kinds


def deduplicated(graph: Graph) -> Graph:
    outcome = RemoveDuplicates().run(graph, Budget())
    assert_same(graph, outcome.graph)
    return outcome.graph


def test_equal_nodes_are_computed_once() -> None:
    net = Net()
    x = net.input(2, 3)
    sums = [net.op(Add(), net.op(Tanh(), x, name=name), net.op(Sigmoid(), x, name=name)) for name in "ab"]
    assert kinds(deduplicated(net.graph(net.op(Multiply(), *sums)))) == ["Tanh", "Sigmoid", "Add", "Multiply"]


def test_attributes_and_inputs_count() -> None:
    net = Net()
    x, y = net.input(2, 3, name="x"), net.input(2, 3, name="y")
    graph = net.graph(net.op(Concat(0), net.op(Relu(), x), net.op(Relu(6.0), x), net.op(Relu(), y)))
    outcome = RemoveDuplicates().run(graph, Budget())
    assert outcome.graph is graph
    assert outcome.decisions == ()


def test_equal_constants_are_stored_once() -> None:
    net = Net()
    x, origin = net.input(40, 50), Origin("c", "Constant")
    value = np.arange(2000.0).reshape(40, 50)
    other = value.copy()
    other[0, 1] += 1  # the sample that is compared first does not see it
    graph = net.graph(net.op(Concat(0), *(net.op(Add(), x, constant(v, origin)) for v in (value, value.copy(), other))))
    after = deduplicated(graph)
    assert sum(isinstance(node.op, Constant) for node in after.nodes) == 2
    assert kinds(after) == ["Add", "Add", "Concat"]


def test_the_sign_of_zero_counts_in_constants() -> None:
    net = Net()
    x, origin = net.input(1), Origin("c", "Constant")
    graph = net.graph(net.op(Concat(0), *(net.op(Add(), x, constant(np.array([v]), origin)) for v in (0.0, -0.0))))
    assert deduplicated(graph) is graph


def test_a_budget_stops_it() -> None:
    net = Net()
    x = net.input(2, 3)
    graph = net.graph(net.op(Concat(0), *(net.op(Tanh(), x) for _ in range(4))))
    outcome = RemoveDuplicates().run(graph, Budget(2))
    assert kinds(outcome.graph) == ["Tanh", "Tanh", "Concat"]
    assert len(outcome.decisions) == 2


def materialized(graph: Graph) -> list[str]:
    outcome = MaterializeOutputs().run(graph, Budget(0))
    assert_same(graph, outcome.graph)
    return [node.op.kind for node in outcome.graph.outputs]


def test_outputs_that_kernels_write_stay() -> None:
    net = Net()
    x = net.op(Tanh(), net.input(2, 3))
    graph = net.graph(net.op(Reshape((6,)), x), net.op(Relu(), x))
    assert MaterializeOutputs().run(graph, Budget()).graph is graph


def test_outputs_without_a_tensor_of_their_own_are_copied() -> None:
    net = Net()
    x = net.input(2, 3)
    y = net.op(Tanh(), x)
    view = net.op(Reshape((6,)), y)
    assert materialized(net.graph(x)) == ["Transpose"]
    assert materialized(net.graph(net.op(Reshape((6,)), x))) == ["Transpose"]
    assert materialized(net.graph(net.weights(2))) == ["Transpose"]
    assert materialized(net.graph(y, y)) == ["Tanh", "Transpose"]
    assert materialized(net.graph(view, y)) == ["Reshape", "Transpose"]
    assert materialized(net.graph(y, view, net.op(Reshape((3, 2)), view))) == ["Tanh", "Transpose", "Transpose"]
