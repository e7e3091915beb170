"""Each rule of the IR's spec is broken once, and says its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import pytest

from convc.ir import Array, DType, Graph, Node, Op, Origin, TensorType
from convc.ir.group import Group, GroupedGraph
from convc.ir.spec import GROUPED, OPTIMIZED, PARSED, SpecError, verify, verify_grouped
from convc.ops import Add, Cast, Constant, ConvTranspose, Input, Relu, Reshape, Tanh
from tests.passes.graphs import Net

ORIGIN = Origin("bad", "Layer")


@dataclass(frozen=True)
class Listed(Op):
    """An op with an attribute that cannot be hashed."""

    sizes: list[int] = field(default_factory=list)
    arity: ClassVar = (1, 1)

    def infer(self, *inputs: TensorType) -> TensorType:
        return inputs[0]

    def reference(self, *inputs: Array) -> Array:
        return inputs[0]


def sound() -> Graph:
    net = Net()
    x = net.op(Relu(), net.conv(net.input(1, 5, 5, 4), 4, name="conv"), name="relu")
    return net.graph(net.op(Add(), net.op(Tanh(), x, name="tanh"), x, name="add"))


def on_top(op: Op, type_: TensorType | None = None) -> Graph:
    """A graph whose output is an unchecked node of `op` over the sound graph's output."""
    graph = sound()
    (output,) = graph.outputs
    return replace(graph, outputs=(Node(op, (output,), type_ or output.type, ORIGIN),))


def constant_output(value: Array, type_: TensorType) -> Graph:
    return replace(sound(), outputs=(Node(Constant(value), (), type_, ORIGIN),))


def transposed_convolution() -> Graph:
    net = Net()
    op = ConvTranspose((2,), (1,), ((0, 0),))
    return net.graph(net.op(op, net.input(1, 4, 3), net.weights(2, 5, 3), name="up"))


UNSOUND: list[tuple[str, str | None, Callable[[], Graph]]] = [
    ("inputs_declared", "x", lambda: replace(sound(), inputs=())),
    ("inputs_declared", None, lambda: replace(sound(), inputs=tuple(Net().input(2) for _ in range(2)))),
    ("inputs_declared", "relu", lambda: replace(g := sound(), inputs=(*g.inputs, g.outputs[0].inputs[1]))),
    ("outputs_named", None, lambda: replace(sound(), output_names=())),
    ("outputs_named", None, lambda: replace(sound(), output_names=("",))),
    ("outputs_named", None, lambda: replace(sound(), outputs=(), output_names=())),
    ("outputs_named", None, lambda: replace(g := sound(), outputs=g.outputs * 2, output_names=("a", "a"))),
    ("arity", "bad", lambda: on_top(Add())),
    ("types", "bad", lambda: on_top(Relu(), TensorType((7,)))),
    ("types", "bad", lambda: on_top(Reshape((7,)))),
    ("model_types", "bad", lambda: on_top(op := Cast(DType.FLOAT16), op.infer(sound().outputs[0].type))),
    ("attributes_hashable", "bad", lambda: on_top(Listed())),
    ("constants_dense", "bad", lambda: constant_output(np.ones((2, 3), np.float32).T, TensorType((3, 2)))),
    ("constants_dense", "bad", lambda: constant_output(np.ones(3, ">i4"), TensorType((3,), DType.INT32))),
    ("no_batch_norm", "bn", lambda: (n := Net()).graph(n.norm(n.input(2, 3)))),
    ("no_conv_transpose", "up", transposed_convolution),
    ("outputs_own_tensors", "x", lambda: (n := Net()).graph(n.input(2))),
    ("outputs_own_tensors", "relu", lambda: (n := Net()).graph(*[n.op(Relu(), n.input(2))] * 2)),
]


def test_a_sound_graph_passes() -> None:
    verify(sound(), "parsed")
    verify(sound(), "optimized")


@pytest.mark.parametrize(("rule", "node", "make_graph"), UNSOUND)
def test_each_rule_is_checked(rule: str, node: str | None, make_graph: Callable[[], Graph]) -> None:
    with pytest.raises(SpecError) as caught:
        verify(make_graph(), "optimized")
    assert caught.value.rule == rule
    assert (caught.value.node.name if caught.value.node else None) == node
    assert rule in str(caught.value)


def test_the_rules_of_a_later_stage_are_not_asked_of_an_earlier_one() -> None:
    net = Net()
    verify(net.graph(net.norm(net.input(2, 3))), "parsed")


def split(*sizes: int, graph: Graph | None = None) -> GroupedGraph:
    """The computed nodes, in order, cut into groups of these sizes."""
    graph = graph or sound()
    nodes = [node for node in graph.nodes if not isinstance(node.op, Input | Constant)]
    groups, start = [], 0
    for size in sizes:
        groups.append(tuple(nodes[start : start + size]))
        start += size
    return GroupedGraph(graph, tuple(Group(members, members[0]) for members in groups))


def reordered(grouped: GroupedGraph, *order: int) -> GroupedGraph:
    return replace(grouped, groups=tuple(grouped.groups[i] for i in order))


def reshaped_relu() -> Graph:
    net = Net()
    return net.graph(net.op(Relu(), net.op(Reshape((6,)), net.input(2, 3))))


def broadcast() -> Graph:
    net = Net()
    return net.graph(net.op(Add(), net.op(Relu(), net.input(2, 1)), net.weights(1, 3)))


UNSOUND_GROUPS: list[tuple[str, Callable[[], GroupedGraph]]] = [
    ("covered_once", lambda: split(2, 1)),
    ("covered_once", lambda: reordered(split(2, 1, 1), 0, 1, 2, 2)),
    ("covered_once", lambda: replace(split(2, 1, 1), graph=sound())),
    ("runnable", lambda: reordered(split(2, 1, 1), 1, 0, 2)),
    ("interior_private", lambda: split(3, 1)),
    ("epilogue", lambda: split(2, graph=reshaped_relu())),
    ("epilogue", lambda: split(2, graph=broadcast())),
    ("epilogue", lambda: replace(g := split(2, 2), groups=tuple(replace(m, anchor=m.nodes[1]) for m in g.groups))),
]


def test_sound_groups_pass() -> None:
    verify_grouped(split(2, 2))
    verify_grouped(split(1, 1, 1, 1))


@pytest.mark.parametrize(("rule", "make_grouped"), UNSOUND_GROUPS)
def test_each_rule_of_groups_is_checked(rule: str, make_grouped: Callable[[], GroupedGraph]) -> None:
    with pytest.raises(SpecError) as caught:
        verify_grouped(make_grouped())
    assert caught.value.rule == rule


def test_every_rule_has_a_test_and_a_name_of_its_own() -> None:
    names = [rule.name for rule in (*PARSED, *OPTIMIZED, *GROUPED)]
    assert len(set(names)) == len(names)
    assert set(names) == {name for name, *_ in UNSOUND} | {name for name, _ in UNSOUND_GROUPS}


def test_a_violation_is_an_internal_error() -> None:
    assert issubclass(SpecError, AssertionError)
