"""Nodes, graphs and groups."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from convc.errors import ShapeError
from convc.ir import Graph, Node, Origin, TensorType, make, rebuild
from convc.ir.group import Group, GroupedGraph
from convc.ops import Add, Conv, Input, MaxPool, Multiply, Pad, Relu, Tanh
from tests.passes.graphs import Net

ORIGIN = Origin("layer_3", "Layer")


def diamond() -> Graph:
    net = Net()
    x = net.op(Relu(), net.input(2, 3))
    return net.graph(net.op(Add(), net.op(Tanh(), x), x))


def test_nodes_come_after_what_they_read_and_once() -> None:
    graph = diamond()
    assert [node.op.kind for node in graph.nodes] == ["Input", "Relu", "Tanh", "Add"]


def test_inputs_that_nothing_reads_are_nodes() -> None:
    net = Net()
    net.input(1, name="unused")
    assert [node.name for node in net.graph(net.op(Relu(), net.input(2))).nodes] == ["unused", "x", "relu"]


def test_consumers_and_uses() -> None:
    graph = diamond()
    _, relu, tanh, add = graph.nodes
    assert graph.consumers[relu] == (tanh, add)
    assert [graph.uses(node) for node in graph.nodes] == [1, 2, 1, 1]


def test_a_node_that_is_read_twice_by_one_is_used_twice() -> None:
    net = Net()
    x = net.input(2)
    graph = net.graph(net.op(Multiply(), x, x))
    assert len(graph.consumers[x]) == graph.uses(x) == 2


def test_a_deep_graph_is_no_recursion() -> None:
    net = Net()
    x = net.input(2)
    for _ in range(5000):
        x = net.op(Relu(), x)
    graph = net.graph(x)
    assert len(graph.nodes) == 5001
    assert graph.rewrite(rebuild).outputs == graph.outputs


def test_rewrite_replaces_and_shares_what_is_kept() -> None:
    graph = diamond()
    after = graph.rewrite(
        lambda node, inputs: make(Relu(), *inputs, origin=ORIGIN) if node.op == Tanh() else rebuild(node, inputs)
    )
    assert [node.op.kind for node in after.nodes] == ["Input", "Relu", "Relu", "Add"]
    assert after.nodes[1] is graph.nodes[1]
    assert after.nodes[2].name == "layer_3"
    assert [node.op.kind for node in graph.nodes] == ["Input", "Relu", "Tanh", "Add"], "the old graph is as it was"


def test_nodes_are_themselves_only() -> None:
    x = Net().input(2)
    assert make(Relu(), x, origin=ORIGIN) != make(Relu(), x, origin=ORIGIN)


@pytest.mark.parametrize(
    ("error", "build"),
    [
        ("wrong number of inputs: expected 2, got 1", lambda n: make(Add(), n.input(2), origin=ORIGIN)),
        (
            "wrong number of inputs: expected 2 to 3, got 1",
            lambda n: make(Conv((1,), ((0, 0),), (1,)), n.input(2), origin=ORIGIN),
        ),
        (
            "the window does not fit",
            lambda n: make(MaxPool((5,), (1,), ((0, 0),)), n.input(1, 4, 2), origin=ORIGIN),
        ),
        ("the output would be empty", lambda n: make(Input(TensorType((2, 0))), origin=ORIGIN)),
        ("the output is too large", lambda n: make(Pad(((0, 1 << 41),)), n.input(1), origin=ORIGIN)),
    ],
)
def test_errors_name_the_layer(error: str, build: Callable[[Net], Node]) -> None:
    with pytest.raises(ShapeError) as caught:
        build(Net())
    assert str(caught.value).startswith(f"layer 'layer_3' (Layer): {error}")


def test_groups_know_what_they_read() -> None:
    graph = diamond()
    x, relu, tanh, add = graph.nodes
    grouped = GroupedGraph(graph, (Group((relu,), relu), Group((tanh, add), tanh)))
    first, second = grouped.groups
    assert first.inputs == (x,)
    assert second.inputs == (relu,)
    assert second.output is add
    assert second.name == "tanh+add"
    assert grouped.producer == {relu: first, add: second}
