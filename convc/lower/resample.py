"""Resampling along one axis or two as tensor expressions that read the tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

from tvm import te

from convc import ops
from convc.lower.anchor import Anchor
from convc.lower.math import Expr

UNROLLED = 12
"""Taps that are written out as one expression, which needs no accumulator in memory; more become a reduction."""


def resample(op: ops.Resample, x: te.Tensor, tables: Sequence[te.Tensor]) -> Anchor:
    """A block `along<axis>` for each axis but the last, and for that one where its taps are not written out.

    A block's domain is its result's; the taps, if any.
    """
    maximum = isinstance(op, ops.ResampleMax)
    source = _reader(x)
    shape = [int(extent) for extent in x.shape]
    for place, axis in enumerate(op.axes):
        own = tables[place * op.tables : (place + 1) * op.tables]
        out, taps = (int(extent) for extent in own[0].shape)
        term = _term(source, axis, shape[axis], own)
        shape[axis] = out
        value = _written(term, taps, maximum) if taps <= UNROLLED else _reduced(term, taps, maximum)
        if axis == op.axes[-1] and taps <= UNROLLED:
            return value
        source = _reader(te.compute(tuple(shape), value, name=f"along{axis}"))
    return source


Term = Callable[[Sequence[Expr], Expr], Expr]
"""What tap t contributes at an output's indices."""


def _term(source: Callable[..., Expr], axis: int, extent: int, tables: Sequence[te.Tensor]) -> Term:
    def term(indices: Sequence[Expr], tap: Expr) -> Expr:
        # The bounds tell TVM what is read: all of the axis, and nothing outside.
        where = te.max(0, te.min(tables[0](indices[axis], tap), extent - 1))
        value = source(*indices[:axis], where, *indices[axis + 1 :])
        return value * tables[1](indices[axis], tap) if len(tables) > 1 else value

    return term


def _written(term: Term, taps: int, maximum: bool) -> Callable[..., Expr]:
    def combine(a: Expr, b: Expr) -> Expr:
        return te.max(a, b) if maximum else a + b

    return lambda *indices: reduce(combine, [term(indices, tap) for tap in range(taps)])


def _reduced(term: Term, taps: int, maximum: bool) -> Callable[..., Expr]:
    tap = te.reduce_axis((0, taps), "tap")
    reducer = te.max if maximum else te.sum
    return lambda *indices: reducer(term(indices, tap), axis=[tap])


def _reader(block: te.Tensor) -> Callable[..., Expr]:
    return lambda *indices: block(*indices)
