"""Softmax as a tensor expression."""

from __future__ import annotations

from tvm import te

from convc import ops
from convc.lower.anchor import Anchor
from convc.lower.math import Expr, exp


def softmax(op: ops.Softmax, x: te.Tensor) -> Anchor:
    """Blocks `maximum`, `power` and `total`: the exponentials are computed once and kept."""
    extents = [int(extent) for extent in x.shape]
    kept = [axis for axis in range(len(extents)) if axis not in op.axes]
    outer = tuple(extents[axis] for axis in kept) or (1,)

    def keep(indices: tuple[Expr, ...]) -> list[Expr]:
        return [indices[axis] for axis in kept] or [0]

    def over(source: te.Tensor, reducer: Expr, name: str) -> te.Tensor:
        taps = {axis: te.reduce_axis((0, extents[axis]), f"r{axis}") for axis in op.axes}

        def element(*indices: Expr) -> Expr:
            where = dict(zip(kept, indices, strict=False)) | taps
            return reducer(source(*(where[axis] for axis in range(len(extents)))), axis=list(taps.values()))

        return te.compute(outer, element, name=name)

    maximum = over(x, te.max, "maximum")
    power = te.compute(x.shape, lambda *i: exp(x(*i) - maximum(*keep(i))), name="power")
    total = over(power, te.sum, "total")
    return lambda *indices: power(*indices) / total(*keep(indices))
