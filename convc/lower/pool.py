"""Window pooling as a tensor expression."""

from __future__ import annotations

import math

from tvm import te

from convc import ops
from convc.lower.anchor import Anchor, padded
from convc.lower.math import Expr, f32


def pool(op: ops.Pool, x: te.Tensor) -> Anchor:
    """Blocks `pad` (where needed) and `pool`, whose domain is the output's."""
    rank = len(op.window)
    ones = (1,) * rank
    out = op.extents(tuple(int(extent) for extent in x.shape[1:-1]))
    maximum = isinstance(op, ops.MaxPool)
    outside = te.min_value("float32") if maximum else f32(0.0)
    source = padded(x, op.padding, out, op.window, op.strides, ones, outside)
    taps = [te.reduce_axis((0, extent), f"k{axis}") for axis, extent in enumerate(op.window)]

    def element(n: Expr, *indices: Expr) -> Expr:
        *position, channel = indices
        where = [p * s + k for p, s, k in zip(position, op.strides, taps, strict=True)]
        reducer = te.max if maximum else te.sum
        return reducer(source(n, *where, channel), axis=taps)

    result = te.compute((x.shape[0], *out, x.shape[-1]), element, name="pool")
    if not isinstance(op, ops.AvgPool):
        return lambda *indices: result(*indices)
    return lambda *indices: _mean(op, result(*indices), x, indices)


def _mean(op: ops.AvgPool, total: Expr, x: te.Tensor, indices: tuple[Expr, ...]) -> Expr:
    """`total` over the number of elements that the window at `indices` counts."""
    if op.count_padding or not any(width for pair in op.padding for width in pair):
        return total * f32(1 / math.prod(op.window))
    count: Expr = 1
    axes = zip(indices[1:-1], op.window, op.strides, op.padding, x.shape[1:-1], strict=True)
    for position, window, stride, (low, _), extent in axes:
        start = position * stride - low
        count = count * (te.min(start + window, extent) - te.max(start, 0))
    return total / count.astype("float32")
