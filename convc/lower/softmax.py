"""Softmax and its logarithm as tensor expressions."""

from __future__ import annotations

from tvm import te

from convc import ops
from convc.lower.anchor import Anchor
from convc.lower.layout import Layout
from convc.lower.math import Expr, exp, f32, log
from convc.lower.stages import MAX, SUM, Reducer, fold, whole


def softmax(op: ops.Softmax, x: te.Tensor, layout: Layout) -> Anchor:
    """The stages of `maximum`, a block `power`, the stages of `total` and, for Softmax, a block `inverse`.

    The exponentials are computed once and kept. The stages are those of `fold` where the last axis alone is summed
    over, else one block each.
    """
    extents = tuple(int(extent) for extent in x.shape)
    kept = [axis for axis in range(len(extents)) if axis not in op.axes]
    outer = tuple(extents[axis] for axis in kept) or (1,)

    def keep(indices: tuple[Expr, ...]) -> list[Expr]:
        return [indices[axis] for axis in kept] or [0]

    def over(source: te.Tensor, reducer: Reducer, name: str) -> te.Tensor:
        if op.axes == (len(extents) - 1,):
            return fold(extents, op.axes, source, reducer, layout, name)
        return whole(extents, op.axes, source, reducer, name)

    maximum = over(x, MAX, "maximum")
    power = te.compute(x.shape, lambda *i: exp(x(*i) - maximum(*keep(i))), name="power")
    total = over(power, SUM, "total")
    if isinstance(op, ops.LogSoftmax):
        return lambda *indices: (x(*indices) - maximum(*keep(indices))) - log(total(*keep(indices)))
    inverse = te.compute(outer, lambda *i: f32(1.0) / total(*i), name="inverse")
    return lambda *indices: power(*indices) * inverse(*keep(indices))
