"""Fusion groups: what joins which, in which order they run, and why something stays alone."""

from __future__ import annotations

import pytest

from convc.ir import Graph, Op
from convc.ir.group import GroupedGraph
from convc.ir.spec import verify_grouped
from convc.ops import Add, MaxPool, Multiply, Pad, ReduceMean, Relu, Reshape, Sigmoid, Softmax, Tanh, Transpose
from convc.passes.group import group
from convc.passes.report import Decision
from convc.passes.rule import Budget
from tests.passes.graphs import Net


def grouped(graph: Graph) -> tuple[GroupedGraph, tuple[Decision, ...]]:
    result, decisions = group(graph, Budget())
    verify_grouped(result)
    return result, decisions


def names(graph: Graph) -> list[str]:
    return [member.name for member in grouped(graph)[0].groups]


def refusal(graph: Graph, layer: str) -> str:
    (decision,) = [d for d in grouped(graph)[1] if d.origin.name == layer and not d.applied]
    return decision.reason


@pytest.mark.parametrize(
    "op",
    [MaxPool((2, 2), (1, 1), ((0, 0), (0, 0))), ReduceMean((1, 2)), Pad(((0, 0), (1, 1), (0, 0), (0, 0)))],
    ids=str,
)
def test_anchors_take_an_epilogue(op: Op) -> None:
    net = Net()
    anchor = net.op(op, net.input(1, 5, 5, 4), name="a")
    assert names(net.graph(net.op(Tanh(), net.op(Relu(), anchor)))) == ["a+relu+tanh"]


@pytest.mark.parametrize("op", [Reshape((5, 5, 4)), Softmax((3,)), Transpose((0, 2, 1, 3))], ids=str)
def test_these_take_none(op: Op) -> None:
    net = Net()
    graph = net.graph(net.op(Relu(), net.op(op, net.input(1, 5, 5, 4), name="a")))
    assert names(graph) == ["a", "relu"]
    assert refusal(graph, "relu") == f"not fused with a: a {op.kind} takes no epilogue"


def test_elementwise_chains_are_groups_without_another_anchor() -> None:
    net = Net()
    x = net.op(Relu(), net.op(Softmax((1,)), net.input(2, 3)))
    assert names(net.graph(net.op(Multiply(), net.op(Tanh(), x), net.weights(3)))) == ["softmax", "relu+tanh+multiply"]


def test_what_reads_an_input_says_so() -> None:
    net = Net()
    graph = net.graph(net.op(Relu(), net.input(2, 3, name="image")))
    assert refusal(graph, "relu") == "not fused: it reads image, which no kernel computes"


def test_a_residual_joins_the_branch_that_comes_last() -> None:
    net = Net()
    x = net.input(1, 5, 5, 4)
    a, b = net.conv(x, 4, name="a"), net.conv(x, 4, name="b")
    for operands in ((a, b), (b, a)):
        result, _ = grouped(net.graph(net.op(Relu(), net.op(Add(), *operands))))
        first, last = operands
        assert [member.name for member in result.groups] == [first.name, f"{last.name}+add+relu"]
        assert first in result.groups[1].inputs


def test_a_residual_joins_the_other_branch_where_the_last_is_shared() -> None:
    net = Net()
    x = net.input(1, 5, 5, 4)
    a, b = net.conv(x, 4, name="a"), net.conv(x, 4, name="b")
    graph = net.graph(net.op(Add(), a, b), net.op(Relu(), b))
    assert names(graph) == ["b", "a+add", "relu"]


def test_an_identity_shortcut_does_not_hinder() -> None:
    net = Net()
    x = net.op(Relu(), net.conv(net.input(1, 5, 5, 4), 4, name="stem"))
    branch = net.conv(net.op(Relu(), net.conv(x, 4, name="a", pad=1), name="ra"), 4, name="b", pad=1)
    graph = net.graph(net.op(Relu(), net.op(Add(), x, branch), name="out"))
    assert names(graph) == ["stem+relu", "a+ra", "b+add+out"]


def test_a_second_consumer_is_refused_with_names() -> None:
    net = Net()
    conv = net.conv(net.input(1, 5, 5, 4), 4, name="conv_2")
    graph = net.graph(net.op(Relu(), conv, name="relu_1"), net.conv(conv, 2, name="conv_3"))
    assert names(graph) == ["conv_2", "relu_1", "conv_3"]
    assert refusal(graph, "relu_1") == "not fused with conv_2: conv_2 is read by 2 consumers: relu_1, conv_3"


def test_an_output_in_the_middle_is_refused() -> None:
    net = Net()
    conv = net.conv(net.input(1, 5, 5, 4), 4)
    graph = net.graph(net.op(Relu(), conv), conv)
    assert names(graph) == ["conv", "relu"]
    assert refusal(graph, "relu") == "not fused with conv: conv is an output of the model"


def test_a_node_that_is_read_twice_is_refused() -> None:
    net = Net()
    conv = net.conv(net.input(1, 5, 5, 4), 4)
    assert names(net.graph(net.op(Multiply(), conv, conv))) == ["conv", "multiply"]


def test_broadcasting_up_is_refused_and_broadcast_side_inputs_are_not() -> None:
    net = Net()
    features = net.conv(net.input(1, 5, 5, 4), 4, name="features")
    squeezed = net.op(Reshape((1, 1, 1, 4)), net.op(ReduceMean((1, 2)), features, name="mean"))
    gate = net.op(Sigmoid(), net.conv(squeezed, 4, kernel=1, name="gate"))
    trunk = net.conv(features, 4, pad=1, name="trunk")
    graph = net.graph(net.op(Multiply(), trunk, gate))
    assert names(graph) == ["features", "mean", "reshape", "gate+sigmoid", "trunk+multiply"]
    small = net.op(ReduceMean((1, 2), keepdims=True), features, name="small")
    graph = net.graph(net.op(Add(), small, net.weights(1, 3, 3, 4)))
    assert refusal(graph, "add").endswith("the result is float32[1, 3, 3, 4], small is float32[1, 1, 1, 4]")


def test_formulas_that_would_be_too_long_are_refused() -> None:
    """A chain of functions is cut where TVM would take seconds for it; what is cheap is not counted."""
    net = Net()
    x = net.conv(net.input(1, 5, 5, 4), 4)
    for number in range(6):
        x = net.op(Tanh(), net.op(Add(), x, net.weights(4), name=f"add_{number}"), name=f"tanh_{number}")
    graph = net.graph(x)
    parts = ["conv+add_0+tanh_0+add_1+tanh_1+add_2", "tanh_2+add_3+tanh_3+add_4", "tanh_4+add_5+tanh_5"]
    assert names(graph) == parts
    reason = "not fused with add_2: its formula would be too long in one kernel with that of add_2"
    assert refusal(graph, "tanh_2") == reason


def test_a_budget_stops_fusion() -> None:
    net = Net()
    graph = net.graph(net.op(Tanh(), net.op(Relu(), net.conv(net.input(1, 5, 5, 4), 4))))
    counts = [len(group(graph, Budget(left))[0].groups) for left in range(4)]
    assert counts == [3, 2, 1, 1]
