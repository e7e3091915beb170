"""The shapes that a kernel gives to its tensors: axes that it need not tell apart are merged.

A kernel over fewer, longer axes is a better one: a pointwise convolution becomes a product of matrices, and an
elementwise kernel one long loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from convc import ops
from convc.ir import Elementwise, Node, Shape
from convc.ir.group import Group


@dataclass(frozen=True)
class Frame:
    """`runs` of output axes that became one axis each. `pointwise`: the anchor is a product over n, rows, channels."""

    runs: tuple[range, ...]
    rank: int
    pointwise: bool = False

    def view(self, shape: Shape) -> Shape:
        """`shape`, which broadcasts to the output or is the input of a pointwise anchor, as the kernel sees it."""
        if len(self.runs) == self.rank and not self.pointwise:
            return shape
        full = (1,) * (self.rank - len(shape)) + shape
        merged = tuple(prod(full[axis] for axis in run) for run in self.runs)
        return (1,) * (3 - len(merged)) + merged if self.pointwise else merged

    def weights(self, anchor: Node, packed: Shape) -> Shape:
        """Packed weights as the kernel sees them: blocks, *window, depth, lanes; no window if `pointwise`."""
        if self.pointwise:
            return (packed[0], *packed[-2:])
        if isinstance(anchor.op, ops.Dense):
            return (packed[0], *(1,) * (self.rank - 2), *packed[-2:])
        return packed


def frame_of(group: Group) -> Frame:
    """How the group's kernel sees its tensors."""
    anchor, out = group.anchor, group.output.type.shape
    apart = Frame(tuple(range(axis, axis + 1) for axis in range(len(out))), len(out))
    if isinstance(anchor.op, Elementwise):
        return Frame(_merge(out, [node.type.shape for node in group.inputs], stop=len(out)), len(out))
    if isinstance(anchor.op, ops.Dense | ops.Conv) and _is_pointwise(anchor):
        read = {source for node in group.nodes if node is not anchor for source in node.inputs} - set(group.nodes)
        runs = _merge(out, [node.type.shape for node in group.inputs if node in read], stop=len(out) - 1)
        if len(runs) <= 3:
            return Frame(runs, len(out), pointwise=True)
    return apart


def contraction(node: Node) -> ops.Conv:
    """A Conv or Dense node as a convolution over all its positions; a Dense has a window of ones."""
    if isinstance(node.op, ops.Conv):
        return node.op
    positions = node.type.rank - 2
    return ops.Conv((1,) * positions, ((0, 0),) * positions, (1,) * positions)


def _is_pointwise(node: Node) -> bool:
    op = contraction(node)
    window = node.inputs[1].type.shape[:-2]
    plain = all(stride == 1 for stride in op.strides) and not any(width for pair in op.padding for width in pair)
    return op.groups == 1 and plain and all(extent == 1 for extent in window)


def _merge(out: Shape, sides: Sequence[Shape], *, stop: int) -> tuple[range, ...]:
    """Runs of axes of `out` that can be one axis in all of `sides` too; axes from `stop` on stay single.

    Two neighbours merge where each side tensor either has both or broadcasts along both. `sides` broadcast to `out`.
    """
    aligned = [(1,) * (len(out) - len(side)) + side for side in sides]
    runs: list[range] = []
    for axis in range(len(out)):
        pair = slice(axis - 1, axis + 1)
        if runs and axis < stop and all(side[pair] in (out[pair], (1, 1)) for side in aligned):
            runs[-1] = range(runs[-1].start, axis + 1)
        else:
            runs.append(range(axis, axis + 1))
    return tuple(runs)
