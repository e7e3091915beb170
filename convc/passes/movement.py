"""Rules about ops that move elements: what moves none is dropped, and two that follow each other are one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from convc.ir import Elementwise, Graph, Node, make
from convc.ops import Broadcast, Cast, Concat, Slice, Unary
from convc.passes.rule import Match, Rule

MAX_PIECES: Final = 64
"""Inputs of a merged Concat, at most: its kernel has a loop for each."""


class DropIdleMove(Rule):
    """A Slice of everything, a Broadcast to the same shape, a Cast to the same type."""

    name = "drop_idle_move"

    def pattern(self, root: Node, graph: Graph) -> Match | None:
        if not isinstance(root.op, Broadcast | Cast | Slice) or root.type != root.inputs[0].type:
            return None
        if isinstance(root.op, Slice) and any(step != 1 for step in root.op.steps):
            return None
        return Match((root,), root, "dropped: it moves nothing")

    def rewrite(self, match: Match, new: Callable[[Node], Node]) -> Node:
        return new(match.nodes[-1].inputs[0])


class MergeSlices(Rule):
    """A Slice of a Slice is one Slice; the inner one stays for others that read it."""

    name = "merge_slices"

    def pattern(self, root: Node, graph: Graph) -> Match | None:
        if isinstance(root.op, Slice) and isinstance(root.inputs[0].op, Slice):
            return Match((root.inputs[0], root), root, f"merged with {root.inputs[0].name}")
        return None

    def rewrite(self, match: Match, new: Callable[[Node], Node]) -> Node:
        inner, root = match.nodes
        first, then = inner.op, root.op
        assert isinstance(first, Slice)
        assert isinstance(then, Slice)
        starts = tuple(a + b * step for a, b, step in zip(first.starts, then.starts, first.steps, strict=True))
        steps = tuple(a * b for a, b in zip(first.steps, then.steps, strict=True))
        return make(Slice(starts, then.sizes, steps), new(inner.inputs[0]), origin=root.origin)


class MergeConcats(Rule):
    """A Concat of a Concat along the same axis is one Concat; the inner one stays for others that read it.

    A dense block concatenates what it has with each new layer's output: every Concat then reads the layers, the ones
    before it are read by elementwise ops alone, and fused with them.
    """

    name = "merge_concats"

    def pattern(self, root: Node, graph: Graph) -> Match | None:
        inner = _inner_concat(root)
        if inner is None or len(root.inputs) + len(inner.inputs) - 1 > MAX_PIECES:
            return None
        return Match((inner, root), root, f"merged with {inner.name}")

    def rewrite(self, match: Match, new: Callable[[Node], Node]) -> Node:
        inner, root = match.nodes
        pieces = [piece for source in root.inputs for piece in (inner.inputs if source is inner else (source,))]
        return make(root.op, *map(new, pieces), origin=root.origin)


def _inner_concat(root: Node) -> Node | None:
    """The first input that is a Concat along the same axis as the Concat `root`."""
    if not isinstance(root.op, Concat):
        return None
    axis = root.op.axis
    return next((s for s in root.inputs if isinstance(s.op, Concat) and s.op.axis == axis), None)


class DropBroadcast(Rule):
    """An elementwise op of several tensors repeats what it reads by itself, where another one has its shape."""

    name = "drop_broadcast"

    def pattern(self, root: Node, graph: Graph) -> Match | None:
        if not isinstance(root.op, Elementwise) or isinstance(root.op, Unary):
            return None
        for position, source in enumerate(root.inputs):
            if isinstance(source.op, Broadcast):
                shapes = [node.type.shape for node in _without(root.inputs, position)]
                if np.broadcast_shapes(*shapes) == root.type.shape:
                    return Match((source, root), source, f"left to {root.name}")
        return None

    def rewrite(self, match: Match, new: Callable[[Node], Node]) -> Node:
        broadcast, root = match.nodes
        sources = [new(node) for node in _without(root.inputs, root.inputs.index(broadcast))]
        return make(root.op, *sources, origin=root.origin)


def _without(inputs: Sequence[Node], position: int) -> list[Node]:
    """`inputs`, what is repeated at that place as it was before."""
    return [node.inputs[0] if i == position else node for i, node in enumerate(inputs)]


MOVEMENT: Final = (DropIdleMove(), MergeSlices(), MergeConcats(), DropBroadcast())
