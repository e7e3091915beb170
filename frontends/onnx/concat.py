"""Concat."""

from __future__ import annotations

from convc import ops
from convc.errors import ShapeError
from convc.frontends.onnx.registry import Call, Value, as_node, handler
from convc.frontends.onnx.shape import axis_in
from convc.ir import Node


@handler("Concat")
def concat(call: Call, *inputs: Value, axis: int) -> Node:
    """Tensors behind each other along an axis; those without elements add nothing."""
    parts = [as_node(x, call.origin) for x in inputs if isinstance(x, Node) or x.size]
    if not parts:
        raise ShapeError("", "tensors without elements are not supported")
    return call.make(ops.Concat(axis_in(axis, parts[0].type.rank)), *parts)
