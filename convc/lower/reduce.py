"""Reductions over whole axes as tensor expressions."""

from __future__ import annotations

import math

from tvm import te

from convc import ops
from convc.lower.anchor import Anchor
from convc.lower.math import Expr, f32


def reduce(op: ops.Reduce, x: te.Tensor) -> Anchor:
    """Block `reduce`, whose domain is the kept axes."""
    extents = [int(extent) for extent in x.shape]
    kept = [axis for axis in range(len(extents)) if axis not in op.axes]
    taps = {axis: te.reduce_axis((0, extents[axis]), f"r{axis}") for axis in op.axes}
    reducer = te.max if isinstance(op, ops.ReduceMax) else te.sum

    def element(*indices: Expr) -> Expr:
        where = dict(zip(kept, indices, strict=True)) | taps
        return reducer(x(*(where[axis] for axis in range(len(extents)))), axis=list(taps.values()))

    result = te.compute(
        tuple(extents[axis] for axis in kept) or (1,), element if kept else lambda _: element(), name="reduce"
    )
    scale = f32(1 / math.prod(extents[axis] for axis in op.axes))

    def read(*indices: Expr) -> Expr:
        where = [indices[axis] for axis in kept] if op.keepdims else list(indices)
        value = result(*(where or [0]))
        return value * scale if isinstance(op, ops.ReduceMean) else value

    return read
