"""Passes over the whole graph that are not local rewrites: duplicates and outputs."""

from __future__ import annotations

import numpy as np

from convc.ir import Array, Graph, Node, Op, make, rebuild
from convc.ops import Constant, Input, Reshape, Transpose
from convc.passes.report import SHARE_CONSTANT, Decision
from convc.passes.rule import Budget, Outcome


class RemoveDuplicates:
    """Nodes with the same op, attributes and inputs are computed once; constants with the same bits are stored once."""

    name = "remove_duplicates"

    def run(self, graph: Graph, budget: Budget) -> Outcome:
        """Each node is replaced by the first one that equals it."""
        computed: dict[tuple[Op, tuple[Node, ...]], Node] = {}
        constants: dict[object, list[Node]] = {}
        decisions: list[Decision] = []

        def replace(node: Node, inputs: tuple[Node, ...]) -> Node:
            node = rebuild(node, inputs)
            if isinstance(node.op, Constant):
                alike = constants.setdefault(_sample(node.op.value), [])
                first = next((other for other in alike if _same_bits(other, node)), None)
                if first is None:
                    alike.append(node)
            else:
                first = computed.setdefault((node.op, inputs), node)
            if first is None or first is node or not budget.take():
                return node
            if isinstance(node.op, Constant):
                decisions.append(Decision(SHARE_CONSTANT, node.origin, True, f"stored once, with {first.name}"))
            else:
                decisions.append(Decision(self.name, node.origin, True, f"computed once, with {first.name}"))
            return first

        new = graph.rewrite(replace)
        return Outcome(new if decisions else graph, tuple(decisions))


class MaterializeOutputs:
    """Every output of the model gets a tensor of its own, that a kernel writes.

    An output that is an input, a constant, a view of one, or shares its tensor with another output, is copied: by a
    Transpose that keeps the order. No budget stops this, later stages rely on it.
    """

    name = "materialize_outputs"

    def run(self, graph: Graph, budget: Budget) -> Outcome:
        """Copies are made for the later ones of outputs that share a tensor."""
        taken: set[Node] = set()
        outputs: list[Node] = []
        decisions: list[Decision] = []
        for name, node in zip(graph.output_names, graph.outputs, strict=True):
            base = viewed(node)
            if base in taken or isinstance(base.op, Input | Constant):
                node = make(Transpose(tuple(range(node.type.rank))), node, origin=node.origin)
                base = node
                decisions.append(Decision(self.name, node.origin, True, f"copied into the output '{name}'"))
            taken.add(base)
            outputs.append(node)
        if not decisions:
            return Outcome(graph, ())
        return Outcome(Graph(graph.name, graph.inputs, tuple(outputs), graph.output_names), tuple(decisions))


def viewed(node: Node) -> Node:
    """The node whose tensor `node` shows: itself, unless it is a Reshape."""
    while isinstance(node.op, Reshape):
        node = node.inputs[0]
    return node


def _sample(value: Array) -> object:
    """Equal for equal constants, and cheap: the type and a few elements."""
    flat = value.reshape(-1)
    return value.shape, value.dtype.str, flat[:: max(1, flat.size // 16)].tobytes()


def _same_bits(a: Node, b: Node) -> bool:
    assert isinstance(a.op, Constant)
    assert isinstance(b.op, Constant)
    if a.op is b.op:
        return True
    return np.array_equal(a.op.value.reshape(-1).view(np.uint8), b.op.value.reshape(-1).view(np.uint8))
