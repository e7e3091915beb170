"""Cuts a graph into fusion groups: an anchor and the elementwise ops that follow it, one kernel each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from convc.ir import Elementwise, Graph, Node
from convc.ir.group import Group, GroupedGraph
from convc.ops import Constant, Input, Recurrent, Reshape, Slice, Softmax, Transpose
from convc.passes.report import Decision
from convc.passes.rule import Budget, Refusal, shared

ALONE = Recurrent | Reshape | Softmax | Transpose
"""Anchors that take no epilogue: they move elements, or need a whole row before the first element is final."""

RULE = "fuse_elementwise"

MAX_READS = 20_000
"""The largest product of `Elementwise.reads` in one kernel: TVM takes about a second for what it then writes out."""


@dataclass
class _Open:
    """A group that is being made."""

    nodes: list[Node]
    place: int


def group(graph: Graph, budget: Budget) -> tuple[GroupedGraph, tuple[Decision, ...]]:
    """The groups, in the order of their outputs in the graph, and a decision for every elementwise node.

    That order can be run: whatever a member reads from outside comes before the member, which comes before its group's
    output. A node with several inputs joins the producer that comes last, of all but slices where there is another: a
    copy has the least to gain from an epilogue. The others are side inputs.
    """
    open_: dict[Node, _Open] = {}
    decisions: list[Decision] = []
    for place, node in enumerate(graph.nodes):
        if isinstance(node.op, Input | Constant):
            continue
        joined = False
        if isinstance(node.op, Elementwise):
            joined = _join(node, graph, open_, budget, decisions)
        if not joined:
            open_[node] = _Open([node], place)
        open_[node].place = place
    groups = sorted(open_.values(), key=lambda group: group.place)
    return GroupedGraph(graph, tuple(Group(tuple(g.nodes), g.nodes[0]) for g in groups)), tuple(decisions)


def _join(node: Node, graph: Graph, open_: dict[Node, _Open], budget: Budget, decisions: list[Decision]) -> bool:
    """Appends `node` to the group of one of its inputs, where one can take it; says what was decided."""
    producers = sorted(
        {source for source in node.inputs if source in open_},
        key=lambda s: (isinstance(open_[s].nodes[0].op, Slice), -open_[s].place),
    )
    refused = []
    for producer in producers:
        refusal = _why_not(producer, node, open_[producer].nodes, graph)
        if refusal is None and budget.take():
            owner = open_.pop(producer)
            owner.nodes.append(node)
            open_[node] = owner
            decisions.append(Decision(RULE, node.origin, True, f"fused with {producer.name}"))
            return True
        if refusal is not None:
            culprit = refusal.culprit.origin if refusal.culprit else None
            reason = f"not fused with {producer.name}: {refusal.reason}"
            refused.append(Decision(RULE, node.origin, False, reason, culprit))
    if not producers:
        source = next((s for s in node.inputs if isinstance(s.op, Input)), node.inputs[0])
        reason = f"not fused: it reads {source.name}, which no kernel computes"
        refused.append(Decision(RULE, node.origin, False, reason, source.origin))
    decisions += refused
    return False


def _reads(nodes: Sequence[Node]) -> int:
    return prod(node.op.reads for node in nodes if isinstance(node.op, Elementwise))


def _why_not(producer: Node, node: Node, nodes: Sequence[Node], graph: Graph) -> Refusal | None:
    anchor = nodes[0]
    if isinstance(anchor.op, ALONE):
        return Refusal(f"a {anchor.op.kind} takes no epilogue", anchor)
    if producer.type != node.type:
        return Refusal(f"the result is {node.type}, {producer.name} is {producer.type}", producer)
    if _reads(nodes) * _reads([node]) > MAX_READS:
        return Refusal(f"its formula would be too long in one kernel with that of {producer.name}", producer)
    return shared(producer, graph)
