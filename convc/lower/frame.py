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
    """`runs` of output axes that became one axis each. `pointwise`: the anchor is a product over n, rows, channels.

    `source`: the same of the axes of a reduction's input, which are not the output's.
    """

    runs: tuple[range, ...]
    rank: int
    pointwise: bool = False
    source: tuple[range, ...] | None = None

    def view(self, shape: Shape) -> Shape:
        """`shape`, which broadcasts to the output or is the input of a pointwise anchor, as the kernel sees it."""
        if len(self.runs) == self.rank and not self.pointwise:
            return shape
        full = (1,) * (self.rank - len(shape)) + shape
        merged = tuple(prod(full[axis] for axis in run) for run in self.runs)
        return (1,) * (3 - len(merged)) + merged if self.pointwise else merged

    def source_view(self, shape: Shape) -> Shape:
        """The shape of the anchor's input as the kernel sees it."""
        return self.view(shape) if self.source is None else tuple(prod(shape[i] for i in run) for run in self.source)

    def axes(self, axes: Shape) -> Shape:
        """The places of `axes` of the anchor's input in the kernel's view of it."""
        runs = self.runs if self.source is None else self.source
        return tuple(place for place, run in enumerate(runs) if not set(run).isdisjoint(axes))

    def scaled(self, numbers: Shape, shape: Shape) -> Shape:
        """Numbers of elements along the axes of a tensor of `shape`, 0 but at the start of each run, along the runs."""
        return tuple(numbers[run.start] * prod(shape[axis] for axis in run[1:]) for run in self.runs)

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
    if isinstance(anchor.op, Elementwise | ops.Broadcast):
        return Frame(_merge(out, [node.type.shape for node in group.inputs], stop=len(out)), len(out))
    if isinstance(anchor.op, ops.Standardize):
        shapes = [node.type.shape for node in group.inputs]
        return Frame(_merge(out, shapes, stop=len(out), classes=_classes(anchor)), len(out))
    if isinstance(anchor.op, ops.Concat | ops.Pad | ops.Slice):
        read = {source for node in group.nodes if node is not anchor for source in node.inputs} - set(group.nodes)
        return Frame(_merge(out, [node.type.shape for node in read], stop=len(out), classes=_moved(anchor)), len(out))
    if isinstance(anchor.op, ops.Reduce):
        (x,) = anchor.inputs
        if any(x in node.inputs for node in group.nodes if node is not anchor):
            return apart
        return Frame(apart.runs, len(out), source=_merge(x.type.shape, [], stop=x.type.rank, classes=_classes(anchor)))
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


def _classes(anchor: Node) -> Sequence[int]:
    """A number for each axis of the input of a reduction: those that it treats alike have the same."""
    op = anchor.op
    assert isinstance(op, ops.Reduce | ops.Standardize)
    grouped = isinstance(op, ops.Standardize) and op.groups > 1
    rank = anchor.inputs[0].type.rank
    return [2 if grouped and axis == rank - 1 else int(axis in op.axes) for axis in range(rank)]


def _moved(anchor: Node) -> Sequence[int]:
    """A number for each axis of an op that cuts or joins tensors: one that it leaves whole has that of the axis before,
    so that it cuts the two of them as it cuts the first."""
    op, rank = anchor.op, anchor.type.rank
    if isinstance(op, ops.Slice):
        extents = anchor.inputs[0].type.shape
        whole = [step == 1 and size == extent for step, size, extent in zip(op.steps, op.sizes, extents, strict=True)]
        dense = [step == 1 for step in op.steps]
        apart = [not (whole[axis] and dense[axis - 1]) for axis in range(rank)]
    elif isinstance(op, ops.Pad):
        apart = [any(pair) for pair in op.widths]
    else:
        assert isinstance(op, ops.Concat)
        apart = [axis == op.axis for axis in range(rank)]
    return [sum(apart[1 : axis + 1]) for axis in range(rank)]


def _merge(out: Shape, sides: Sequence[Shape], *, stop: int, classes: Sequence[int] | None = None) -> tuple[range, ...]:
    """Runs of axes of `out` that can be one axis in all of `sides` too; axes from `stop` on stay single.

    Axes merge where each side tensor either has all of them or broadcasts along all, and where all are of one of the
    `classes`. `sides` broadcast to `out`.
    """
    aligned = [(1,) * (len(out) - len(side)) + side for side in sides]
    runs: list[range] = []
    for axis in range(len(out)):
        run = slice(runs[-1].start if runs else 0, axis + 1)
        alike = classes is None or axis == 0 or classes[axis - 1] == classes[axis]
        if runs and axis < stop and alike and all(side[run] == out[run] or prod(side[run]) == 1 for side in aligned):
            runs[-1] = range(run.start, run.stop)
        else:
            runs.append(range(axis, axis + 1))
    return tuple(runs)
