"""Operators that look for the largest elements: ArgMax, ArgMin, Hardmax and TopK."""

from __future__ import annotations

import numpy as np

from convc import ops
from convc.errors import ModelError
from convc.frontends.onnx.arithmetic import floats, integers
from convc.frontends.onnx.registry import Call, Handler, handler
from convc.frontends.onnx.shape import axis_in
from convc.ir import Array, Node


def _place(call: Call, x: Node, axis: int, *, least: bool, last: bool) -> Node:
    """The index of the largest element along an axis, or of the least; the first or last of several. It stays as 1.

    Indices are counted in float32, which has every integer up to 2**24.
    """
    count = x.type.shape[axis]
    extreme = call.make((ops.ReduceMin if least else ops.ReduceMax)((axis,), True), x)
    here = call.make(ops.Equal(), x, extreme)
    shape = (count,) + (1,) * (x.type.rank - 1 - axis)
    indices = call.constant(np.arange(count, dtype=np.float32).reshape(shape))
    absent = call.constant(np.float32(0 if last else count - 1))
    found = call.make(ops.Where(), here, indices, absent)
    return call.make((ops.ReduceMax if last else ops.ReduceMin)((axis,), True), found)


def _argument(*, least: bool) -> Handler:
    def build(call: Call, x: Node, *, axis: int = 0, keepdims: bool = True, select_last_index: bool = False) -> Node:
        place = axis_in(axis, x.type.rank)
        y = integers(call, _place(call, x, place, least=least, last=select_last_index))
        return y if keepdims else call.make(ops.Reshape((*x.type.shape[:place], *x.type.shape[place + 1 :])), y)

    return build


handler("ArgMax")(_argument(least=False))
handler("ArgMin")(_argument(least=True))


@handler("Hardmax")
def hardmax(call: Call, x: Node, *, axis: int | None = None) -> Node:
    """1 at the first largest element, 0 elsewhere; before opset 13 over all axes from `axis` on."""
    place = axis_in((-1 if call.opset >= 13 else 1) if axis is None else axis, x.type.rank)
    y = x
    if call.opset < 13:
        y = call.make(
            ops.Reshape((*x.type.shape[:place], -(-x.type.elements // max(1, int(np.prod(x.type.shape[:place])))))), x
        )
    index = _place(call, y, place, least=False, last=False)
    shape = (y.type.shape[place],) + (1,) * (y.type.rank - 1 - place)
    indices = call.constant(np.arange(y.type.shape[place], dtype=np.float32).reshape(shape))
    return call.make(ops.Reshape(x.type.shape), call.make(ops.Equal(), indices, index))


@handler("TopK")
def top_k(
    call: Call,
    x: Node,
    given: Array | None = None,
    *,
    axis: int = -1,
    k: int | None = None,
    largest: bool = True,
    sorted: bool = True,
) -> tuple[Node, Node]:
    """The k largest elements along an axis, in order, and their indices; of equal ones the first come first.

    The number is an attribute before opset 10.
    """
    count = k if given is None else int(given.reshape(-1)[0])
    place = axis_in(axis, x.type.rank)
    if count is None or not 1 <= count <= x.type.shape[place]:
        expected = f"1 to {x.type.shape[place]}"
        raise ModelError("", "'k' is wrong", expected=expected, received=str(count))
    behind = [i for i in range(x.type.rank) if i != place]
    order = (*behind, place)
    y = x if place == x.type.rank - 1 else call.make(ops.Transpose(order), x)
    indices = call.make(ops.TopK(count, largest), floats(call, y))
    values = call.make(ops.TakeAlong(y.type.rank - 1), y, indices)
    if place == x.type.rank - 1:
        return values, indices
    back = tuple(order.index(i) for i in range(x.type.rank))
    return call.make(ops.Transpose(back), values), call.make(ops.Transpose(back), indices)
