"""Strides move towards the inputs: positions that nobody reads are not computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import gcd
from typing import Final

from convc.ir import Elementwise, Graph, Node, Shape, make, rebuild
from convc.ops import Constant, Conv, Input, Pool, Slice
from convc.passes.group import ALONE
from convc.passes.report import Decision
from convc.passes.rule import Budget, Outcome, Refusal

Strided = Conv | Pool
"""Ops with strides along their spatial axes."""

SEPARATE: Final = Input | Constant | ALONE
"""What no elementwise op that reads it is fused with."""


class PropagateStrides:
    """A tensor of which all readers read every s-th position only is computed at those positions only.

    A window of 1 without padding reads what its stride says; its stride goes where the tensor that it reads can take
    it. Convolutions, poolings and slices take it as larger strides, so that their output is what a slice of it would
    be. Elementwise ops take it by reading thinner inputs; one that others need in full is sliced, which costs less
    than computing all positions. Where an elementwise op would be fused with what cannot be thinner, it stays as it is.

    Positions are those along the axes between batch and channels. Nothing is sliced that was only read with a stride.
    """

    name = "propagate_strides"

    def run(self, graph: Graph, budget: Budget) -> Outcome:
        """Ops that hand a stride on to each other count as one rewrite."""
        plan = _plan(graph)
        steps = dict(plan)
        for region in _regions(graph, plan):
            if not budget.take():
                steps.update((node, _ones(node)) for node in region)
        applied = [
            Decision(self.name, node.origin, True, _action(node, graph, steps))
            for node in graph.nodes
            if _is_thin(steps[node])
        ]
        refused = []
        for node in graph.nodes:
            refusal = _why_not(node, graph, plan)
            if refusal is not None:
                reason = f"its stride is not moved to {node.inputs[0].name}: {refusal.reason}"
                culprit = refusal.culprit.origin if refusal.culprit else None
                refused.append(Decision(self.name, node.origin, False, reason, culprit))
        return Outcome(_rewritten(graph, steps) if applied else graph, (*applied, *refused))


def _plan(graph: Graph) -> dict[Node, Shape]:
    """For each node, the distances of the positions that have to be computed, along each axis."""
    held = _held(graph)
    read = {node: [1 if node in graph.outputs else 0] * node.type.rank for node in graph.nodes}
    steps: dict[Node, Shape] = {}
    for node in reversed(graph.nodes):
        free = isinstance(node.op, Strided | Slice) or (isinstance(node.op, Elementwise) and node not in held)
        steps[node] = _spatial(node, read[node]) if free else _ones(node)
        for place, source in enumerate(node.inputs):
            read[source] = [gcd(*pair) for pair in zip(read[source], _reads(node, place, steps[node]), strict=True)]
    return steps


def _held(graph: Graph) -> set[Node]:
    """Elementwise nodes that are fused with what computes all positions, as a product of matrices does."""
    held: set[Node] = set()
    for node in graph.nodes:
        if isinstance(node.op, Elementwise):
            joined = [s for s in node.inputs if s.type == node.type and graph.uses(s) == 1]
            if any(s in held or not isinstance(s.op, Strided | Slice | Elementwise | SEPARATE) for s in joined):
                held.add(node)
    return held


def _reads(node: Node, place: int, steps: Shape) -> Shape:
    """What divides the places of all elements that `node`, computed with `steps`, reads of an input; 0 where it reads
    the first only."""
    source, op = node.inputs[place], node.op
    if isinstance(op, Elementwise):
        return _aligned(source, steps)
    if isinstance(op, Slice):
        return tuple(gcd(start, step * more) for start, step, more in zip(op.starts, op.steps, steps, strict=True))
    if isinstance(op, Strided) and place == 0:
        single = [k == 1 and pad == (0, 0) for k, pad in zip(_window(node), op.padding, strict=True)]
        inner = (s * t if one else 1 for s, t, one in zip(op.strides, steps[1:-1], single, strict=True))
        return (1, *inner, 1)
    return _ones(source)


def _rewritten(graph: Graph, steps: Mapping[Node, Shape]) -> Graph:
    slices: dict[tuple[Node, Shape], Node] = {}
    new: dict[Node, Node] = {}

    def thinned(source: Node, reader: Node) -> Node:
        rest = _rest(source, reader, steps)
        if not _is_thin(rest):
            return new[source]
        if (source, rest) not in slices:
            op = Slice((0,) * len(rest), _thin(new[source].type.shape, rest), rest)
            slices[source, rest] = make(op, new[source], origin=reader.origin)
        return slices[source, rest]

    def replacement(node: Node) -> Node:
        op, own = node.op, steps[node]
        if isinstance(op, Elementwise):
            operands = [thinned(source, node) for source in node.inputs]
        else:
            operands = [new[source] for source in node.inputs]
        given = steps[node.inputs[0]] if node.inputs else ()
        if isinstance(op, Strided):
            spatial = zip(op.strides, own[1:-1], given[1:-1], strict=True)
            op = replace(op, strides=tuple(s * t // have for s, t, have in spatial))
        elif isinstance(op, Slice):
            starts = tuple(start // have for start, have in zip(op.starts, given, strict=True))
            factors = tuple(s * t // have for s, t, have in zip(op.steps, own, given, strict=True))
            op = Slice(starts, _thin(op.sizes, own), factors)
        made = rebuild(node, operands) if op == node.op else make(op, *operands, origin=node.origin)
        assert made.type.shape == _thin(node.type.shape, own), f"{node!r} with steps {own} became {made!r}"
        return made

    for node in graph.nodes:
        new[node] = replacement(node)
    return Graph(graph.name, graph.inputs, tuple(new[node] for node in graph.outputs), graph.output_names)


def _regions(graph: Graph, steps: Mapping[Node, Shape]) -> list[list[Node]]:
    """The nodes with steps above 1, those that read each other together, in order of their first node."""
    region: dict[Node, list[Node]] = {}
    for node in graph.nodes:
        if _is_thin(steps[node]):
            joined = [node]
            for other in {id(region[s]): region[s] for s in node.inputs if s in region}.values():
                joined = other + joined
            region.update((member, joined) for member in joined)
    return list({id(members): members for members in region.values()}.values())


def _why_not(node: Node, graph: Graph, plan: Mapping[Node, Shape]) -> Refusal | None:
    """Why `node`, whose window of 1 skips positions of its input, still has to."""
    if not isinstance(node.op, Strided) or all(stride == 1 for stride in node.op.strides):
        return None
    source = node.inputs[0]
    wanted = _spatial(source, _reads(node, 0, plan[node]))
    if not _is_thin(wanted) or _is_thin(plan[source]):
        return None
    if source in graph.outputs:
        return Refusal(f"{source.name} is an output of the model", source)
    for reader in graph.consumers[source]:
        for place, other in enumerate(reader.inputs):
            if other is source and any(n % m for n, m in zip(_reads(reader, place, plan[reader]), wanted, strict=True)):
                return Refusal(f"{reader.name} reads other positions of it too", reader)
    if isinstance(source.op, Input):
        return Refusal(f"{source.name} is an input of the model", source)
    if isinstance(source.op, Elementwise):
        return Refusal(f"{source.name} is fused with what computes all positions", source)
    return Refusal(f"a {source.op.kind} computes all positions", source)


def _action(node: Node, graph: Graph, steps: Mapping[Node, Shape]) -> str:
    names = list(dict.fromkeys(reader.name for reader in graph.consumers[node]))
    text = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
    stride = "x".join(str(step) for step in steps[node][1:-1])
    action = f"computed with a stride of {stride}: {text} read{'s' if len(names) == 1 else ''} no other positions"
    sliced = [s.name for s in node.inputs if isinstance(node.op, Elementwise) and _is_thin(_rest(s, node, steps))]
    return action + "".join(f"; {name} is sliced for it" for name in dict.fromkeys(sliced))


def _rest(source: Node, reader: Node, steps: Mapping[Node, Shape]) -> Shape:
    """The steps of the slice through which an elementwise `reader` reads a thinner, or not thinner, `source`."""
    wanted = _aligned(source, steps[reader])
    return tuple(max(want, 1) // have for want, have in zip(wanted, steps[source], strict=True))


def _window(node: Node) -> Shape:
    """The extents of the window of a convolution or a pooling."""
    return node.op.window if isinstance(node.op, Pool) else node.inputs[1].type.shape[:-2]


def _aligned(source: Node, steps: Shape) -> Shape:
    """The steps of an elementwise op's output along the axes of `source`; 0 where it has one element and repeats it."""
    shape = source.type.shape
    return tuple(
        0 if extent == 1 else step for extent, step in zip(shape, steps[len(steps) - len(shape) :], strict=True)
    )


def _spatial(node: Node, steps: Sequence[int]) -> Shape:
    """`steps` along the spatial axes that have more than one element, 1 along all others."""
    last = node.type.rank - 1
    return tuple(
        step if 0 < axis < last and extent > 1 and step > 1 else 1
        for axis, (step, extent) in enumerate(zip(steps, node.type.shape, strict=True))
    )


def _thin(shape: Shape, steps: Shape) -> Shape:
    return tuple(-(-extent // step) for extent, step in zip(shape, steps, strict=True))


def _is_thin(steps: Shape) -> bool:
    return any(step != 1 for step in steps)


def _ones(node: Node) -> Shape:
    return (1,) * node.type.rank
