"""Rules that merge Pads and fold them into the convolutions and poolings that read them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from convc.ir import Graph, Node, make
from convc.ops import AvgPool, Conv, MaxPool, Pad, Pool
from convc.ops.window import Padding
from convc.passes.rule import Match, Refusal, Rule, shared
from convc.passes.simplify import is_non_negative


class MergePads(Rule):
    """A Pad of a Pad with the same value is one Pad; the inner one stays for others that read it."""

    name = "normalize_padding"

    def pattern(self, root: Node, graph: Graph) -> Match | None:
        if isinstance(root.op, Pad) and isinstance(root.inputs[0].op, Pad):
            return Match((root.inputs[0], root), root, f"merged with {root.inputs[0].name}")
        return None

    def why_not(self, match: Match, graph: Graph) -> Refusal | None:
        inner, outer = (_pad(node) for node in match.nodes)
        if inner.value != outer.value:
            return Refusal(f"one pads with {inner.value:g}, the other with {outer.value:g}", match.nodes[0])
        return None

    def rewrite(self, match: Match, new: Callable[[Node], Node]) -> Node:
        inner, outer = (_pad(node) for node in match.nodes)
        op = replace(outer, widths=_sum(inner.widths, outer.widths))
        return make(op, new(match.nodes[0].inputs[0]), origin=match.nodes[1].origin)


class _FoldPad(Rule):
    """A Pad that is read by one op with padding of its own: what all of them have in common."""

    reader: type[Conv] | type[Pool]

    def pattern(self, root: Node, graph: Graph) -> Match | None:
        if isinstance(root.op, self.reader) and isinstance(root.inputs[0].op, Pad):
            return Match((root.inputs[0], root), root.inputs[0], f"folded into {root.name}")
        return None

    def why_not(self, match: Match, graph: Graph) -> Refusal | None:
        pad, root = match.nodes
        widths = _pad(pad).widths
        if any(widths[0]) or any(widths[-1]):
            return Refusal(f"it pads the batch or the channels, not only spatial axes: {widths}")
        return self.inexact(pad, root) or shared(pad, graph)

    def inexact(self, pad: Node, root: Node) -> Refusal | None:
        """Why `root`'s own padding would not give what `pad` gives."""
        value = _pad(pad).value
        return Refusal(f"it pads with {value:g}, and {root.name} with 0") if value != 0 else None

    def rewrite(self, match: Match, new: Callable[[Node], Node]) -> Node:
        pad, root = match.nodes
        op = root.op
        assert isinstance(op, Conv | Pool)
        op = replace(op, padding=_sum(_pad(pad).widths[1:-1], op.padding))
        if isinstance(op, AvgPool):
            op = replace(op, count_padding=True)
        return make(op, new(pad.inputs[0]), *(new(source) for source in root.inputs[1:]), origin=root.origin)


class FoldPadIntoConv(_FoldPad):
    """Zeros around a convolution's input are the convolution's padding."""

    name = "fold_padding"
    reader = Conv


class FoldPadIntoMaxPool(_FoldPad):
    """MaxPool pads with minus infinity: the same as zeros where every window holds an element that is not negative."""

    name = "fold_padding"
    reader = MaxPool

    def inexact(self, pad: Node, root: Node) -> Refusal | None:
        source, value = pad.inputs[0], _pad(pad).value
        if value not in (0, -math.inf):
            return Refusal(f"it pads with {value:g}, and {root.name} with minus infinity")
        if value == 0 and not is_non_negative(source):
            return Refusal(
                f"it pads with 0, and {root.name} with minus infinity; {source.name} may be negative", source
            )
        return _window_in_padding(pad, root)


class FoldPadIntoAvgPool(_FoldPad):
    """Zeros that a mean counts are padding that it counts."""

    name = "fold_padding"
    reader = AvgPool

    def inexact(self, pad: Node, root: Node) -> Refusal | None:
        op = root.op
        assert isinstance(op, AvgPool)
        if np.any(op.padding) and not op.count_padding:
            return Refusal(f"{root.name} does not count its own padding, but would have to count these zeros", root)
        return super().inexact(pad, root) or _window_in_padding(pad, root)


def _window_in_padding(pad: Node, root: Node) -> Refusal | None:
    """Refuses what a pooling may not have: padding that is as wide as its window."""
    op = root.op
    assert isinstance(op, Pool)
    padding = _sum(_pad(pad).widths[1:-1], op.padding)
    if any(max(pair) >= extent for pair, extent in zip(padding, op.window, strict=True)):
        return Refusal(f"a window of {root.name} could lie wholly in the padding", root)
    return None


def _pad(node: Node) -> Pad:
    assert isinstance(node.op, Pad)
    return node.op


def _sum(a: Padding, b: Padding) -> Padding:
    return tuple((low + more, high + further) for (low, high), (more, further) in zip(a, b, strict=True))
