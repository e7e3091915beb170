"""Sums and products of all elements up to each, in steps of doubling length."""

from __future__ import annotations

from convc import ops
from convc.errors import ModelError
from convc.frontends.onnx.registry import Call, handler
from convc.frontends.onnx.shape import axis_in
from convc.ir import Array, Node, Op


@handler("CumSum")
def cumsum(call: Call, x: Node, axis: Array, *, exclusive: bool = False, reverse: bool = False) -> Node:
    """Sums along an axis; those before each element where `exclusive`, from the end where `reverse`."""
    return _cumulative(call, x, axis, ops.Add(), 0.0, exclusive, reverse)


@handler("CumProd")
def cumprod(call: Call, x: Node, axis: Array, *, exclusive: bool = False, reverse: bool = False) -> Node:
    """Products, as CumSum has sums."""
    return _cumulative(call, x, axis, ops.Multiply(), 1.0, exclusive, reverse)


def _cumulative(call: Call, x: Node, axis: Array, op: Op, neutral: float, exclusive: bool, reverse: bool) -> Node:
    if axis.size != 1:
        raise ModelError("", "'axis' is wrong", expected="one number", received=str(axis.shape))
    place = axis_in(int(axis.reshape(-1)[0]), x.type.rank)
    y = _moved(call, x, place, 1, neutral, reverse) if exclusive else x
    step = 1
    while step < x.type.shape[place]:
        y = call.make(op, y, _moved(call, y, place, step, neutral, reverse))
        step *= 2
    return y


def _moved(call: Call, x: Node, axis: int, step: int, neutral: float, backwards: bool) -> Node:
    """`x` moved by `step` elements along an axis, what comes in being `neutral`."""
    extent = x.type.shape[axis]
    step = min(step, extent)
    widths = [(0, 0)] * x.type.rank
    widths[axis] = (0, step) if backwards else (step, 0)
    wide = call.make(ops.Pad(tuple(widths), neutral), x)
    return call.make(ops.Slice.along(wide.type.shape, axis, step if backwards else 0, extent), wide)
