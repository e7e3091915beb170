"""Softmax and LogSoftmax."""

from __future__ import annotations

from convc import ops
from convc.frontends.onnx.registry import Call, handler
from convc.frontends.onnx.shape import axis_in
from convc.ir import Node, Shape


@handler("Softmax")
def softmax(call: Call, x: Node, *, axis: int | None = None) -> Node:
    """Over one axis since opset 13, over all from `axis` on before."""
    return call.make(ops.Softmax(_axes(call, x, axis)), x)


@handler("LogSoftmax")
def log_softmax(call: Call, x: Node, *, axis: int | None = None) -> Node:
    """The logarithm of Softmax."""
    return call.make(ops.LogSoftmax(_axes(call, x, axis)), x)


def _axes(call: Call, x: Node, axis: int | None) -> Shape:
    place = axis_in((-1 if call.opset >= 13 else 1) if axis is None else axis, x.type.rank)
    last = place + 1 if call.opset >= 13 else x.type.rank
    return tuple(range(place, last))
