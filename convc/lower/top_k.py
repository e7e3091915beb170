"""The order of elements by counting: one is at the place that the number of those before it says."""

from __future__ import annotations

from tvm import te, tirx

from convc import ops
from convc.lower.anchor import Anchor
from convc.lower.math import Expr, i32, select


def top_k(op: ops.TopK, x: te.Tensor) -> Anchor:
    """Blocks `rank`, over the input's axes and those that are compared, and `place`, over the output's and the input's.

    The work grows with the square of the axis, in vectors without a branch.
    """
    *lead, extent = (int(size) for size in x.shape)
    other = te.reduce_axis((0, extent), "other")

    def before(*where: Expr) -> Expr:
        *outer, own = where
        a, b = x(*outer, other), x(*outer, own)
        ahead = a > b if op.largest else a < b
        comes_first = tirx.any(ahead, tirx.all(a.equal(b), other < own))
        return te.sum(select(comes_first, i32(1), i32(0)), axis=[other])

    rank = te.compute((*lead, extent), before, name="rank")
    own = te.reduce_axis((0, extent), "own")

    def at(*where: Expr) -> Expr:
        *outer, place = where
        return te.max(select(rank(*outer, own).equal(place), own, i32(0)), axis=[own])

    placed = te.compute((*lead, op.count), at, name="place")
    return lambda *indices: placed(*indices)
