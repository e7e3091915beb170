"""Reductions over whole axes as tensor expressions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tvm import te

from convc import ops
from convc.ir import Shape
from convc.lower.anchor import Anchor
from convc.lower.layout import Layout
from convc.lower.math import Expr, f32
from convc.lower.stages import MAX, MIN, PRODUCT, SUM, Reducer, fold

_REDUCERS: dict[type[ops.Reduce], Reducer] = {
    ops.ReduceMax: MAX,
    ops.ReduceMean: SUM,
    ops.ReduceMin: MIN,
    ops.ReduceProd: PRODUCT,
    ops.ReduceSum: SUM,
}


def reduce(op: ops.Reduce, axes: Shape, x: te.Tensor, source: Shape, layout: Layout) -> Anchor:
    """Block `reduce`, whose domain is the kept axes, and the stages before it.

    `axes` are those of `x`, which is the tensor of shape `source` with some axes merged.
    """
    shape = tuple(int(extent) for extent in x.shape)
    result = fold(shape, axes, x, _REDUCERS[type(op)], layout, "reduce")
    scale = f32(1 / math.prod(shape[axis] for axis in axes))
    kept = [axis for axis in range(len(source)) if axis not in op.axes]

    def read(*indices: Expr) -> Expr:
        own = [indices[axis] for axis in kept] if op.keepdims else list(indices)
        value = result(*_merged([source[axis] for axis in kept], own, result.shape))
        return value * scale if isinstance(op, ops.ReduceMean) else value

    return read


def _merged(extents: Sequence[int], indices: Sequence[Expr], shape: Sequence[Expr]) -> list[Expr]:
    """The indices into `shape`, which has the elements of `extents` in the same order, neighbouring axes merged."""
    places: list[Expr] = []
    pending = list(zip(extents, indices, strict=True))
    for extent in (int(extent) for extent in shape):
        size, place = 1, 0
        while pending and size < extent:
            own, index = pending.pop(0)
            size, place = size * own, place * own + index
        places.append(place)
    return places
