"""Reductions over axes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from convc import ops
from convc.frontends.onnx.arithmetic import floats, integers, is_integer, magnitude
from convc.frontends.onnx.registry import Call, Handler, handler
from convc.frontends.onnx.shape import axes_of, axis_in
from convc.frontends.onnx.window import Ints
from convc.ir import Array, Node, Shape

_PLAIN: Mapping[str, type[ops.Reduce]] = {
    "ReduceMean": ops.ReduceMean, "ReduceSum": ops.ReduceSum, "ReduceMax": ops.ReduceMax, "ReduceMin": ops.ReduceMin,
    "ReduceProd": ops.ReduceProd,
}  # fmt: skip


def _axes(x: Node, given: Array | None, axes: Ints | None, noop: bool) -> Shape:
    """The axes in order; all of them where none are named, unless that means nothing is to be done."""
    wanted = axes_of(given, axes)
    if not wanted:
        return () if noop else tuple(range(x.type.rank))
    return tuple(sorted({axis_in(axis, x.type.rank) for axis in wanted}))


def _reduced(call: Call, kind: type[ops.Reduce], x: Node, axes: Shape, keepdims: bool) -> Node:
    if not axes:
        return x
    if kind is ops.ReduceMean and is_integer(x):
        return integers(call, call.make(kind(axes, keepdims), floats(call, x)))
    return call.make(kind(axes, keepdims), x)


def _reduction(kind: type[ops.Reduce]) -> Handler:
    def build(
        call: Call,
        data: Node,
        given: Array | None = None,
        *,
        axes: Ints | None = None,
        keepdims: bool = True,
        noop_with_empty_axes: bool = False,
    ) -> Node:
        return _reduced(call, kind, data, _axes(data, given, axes, noop_with_empty_axes), keepdims)

    return build


for _name, _kind in _PLAIN.items():
    handler(_name)(_reduction(_kind))


def _sum_of(name: str) -> Handler:
    """Reductions that are a function before a sum, and another one after it."""

    def build(
        call: Call,
        data: Node,
        given: Array | None = None,
        *,
        axes: Ints | None = None,
        keepdims: bool = True,
        noop_with_empty_axes: bool = False,
    ) -> Node:
        place = _axes(data, given, axes, noop_with_empty_axes)
        y = _before(call, name, data)
        if name == "ReduceLogSumExp":
            return _log_sum_exp(call, y, place, keepdims)
        y = _reduced(call, ops.ReduceSum, y, place, keepdims)
        after = {"ReduceL2": ops.Sqrt(), "ReduceLogSum": ops.Log()}.get(name)
        if after is None:
            return y
        z = call.make(after, floats(call, y))
        return integers(call, z) if is_integer(data) else z

    return build


def _before(call: Call, name: str, x: Node) -> Node:
    if name == "ReduceL1":
        return magnitude(call, x)
    if name in ("ReduceL2", "ReduceSumSquare"):
        return call.make(ops.Multiply(), x, x) if is_integer(x) else call.make(ops.Square(), x)
    return x


def _log_sum_exp(call: Call, x: Node, axes: Shape, keepdims: bool) -> Node:
    if not axes:
        return x
    wide = floats(call, x)
    greatest = call.make(ops.ReduceMax(axes, True), wide)
    finite = call.make(ops.Where(), _is_finite(call, greatest), greatest, call.constant(np.float32(0)))
    total = call.make(ops.ReduceSum(axes, True), call.make(ops.Exp(), call.make(ops.Subtract(), wide, finite)))
    y = call.make(ops.Add(), call.make(ops.Log(), total), finite)
    y = integers(call, y) if is_integer(x) else y
    kept = tuple(extent for axis, extent in enumerate(y.type.shape) if axis not in axes)
    return y if keepdims else call.make(ops.Reshape(kept), y)


def _is_finite(call: Call, x: Node) -> Node:
    """Whether |x| is below infinity: an infinite maximum less itself would be no number."""
    return call.make(ops.Greater(), call.constant(np.float32(np.inf)), call.make(ops.Abs(), x))


for _name in ("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"):
    handler(_name)(_sum_of(_name))
