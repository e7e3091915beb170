"""Operators that make tensors of a pattern: Range, EyeLike, OneHot, Trilu."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from convc import ops
from convc.errors import ModelError, ShapeError, UnsupportedError
from convc.frontends.onnx.arithmetic import number
from convc.frontends.onnx.fold import MAX_ELEMENTS
from convc.frontends.onnx.reader import dtype_of
from convc.frontends.onnx.registry import Call, Value, handler
from convc.frontends.onnx.shape import axis_in, check_pattern
from convc.ir import Array, Node


@handler("Range")
def range_(call: Call, start: Array, limit: Array, delta: Array, *, stash_type: int = 1) -> Array:
    """Numbers from `start` in steps of `delta`, below `limit`."""
    first, last, step = (array.reshape(-1)[0] for array in (start, limit, delta))
    if step == 0 or not np.isfinite([float(first), float(last), float(step)]).all():
        raise ModelError(
            "", "the range is wrong", expected="finite numbers and a step", received=f"{first}, {last}, {step}"
        )
    count = max(int(np.ceil((float(last) - float(first)) / float(step))), 0)
    if count > MAX_ELEMENTS:
        raise ModelError("", "the range is too long", expected=f"at most {MAX_ELEMENTS}", received=str(count))
    numbers: Array = np.arange(count) * np.float64(step) + np.float64(first)
    return numbers.astype(start.dtype)


@handler("ConstantOfShape")
def constant_of_shape(call: Call, shape: Array, *, value: Array | None = None) -> Array:
    """One value everywhere."""
    extents = tuple(int(extent) for extent in shape.reshape(-1))
    if min(extents, default=1) < 0 or math.prod(extents) > MAX_ELEMENTS:
        raise ModelError("", "the shape is wrong", expected=f"at most {MAX_ELEMENTS} elements", received=str(extents))
    return np.full(extents, np.float32(0) if value is None else value.reshape(-1)[0])


@handler("EyeLike")
def eye_like(call: Call, x: Value, *, dtype: int | None = None, k: int = 0) -> Array:
    """Ones on a diagonal, zeros elsewhere."""
    shape = x.type.shape if isinstance(x, Node) else x.shape
    if len(shape) != 2:
        raise ShapeError("", "the input is no matrix", expected="2 axes", received=str(shape))
    own: np.dtype[Any] = x.type.dtype.numpy if isinstance(x, Node) else x.dtype
    wanted: np.dtype[Any] | None = own if dtype is None else dtype_of(dtype)
    if wanted is None:
        raise UnsupportedError("", "this type is not supported", expected="floating point, integers or booleans")
    rows, columns = (int(extent) for extent in shape)
    result: Array = np.eye(rows, columns, k=max(min(k, columns), -rows), dtype=wanted)
    return result


@handler("OneHot")
def one_hot(call: Call, indices: Node, depth: Array, values: Node, *, axis: int = -1) -> Node:
    """The second of two values where the new axis has the index, the first elsewhere; -1 counts from the end."""
    count = int(depth.reshape(-1)[0])
    if count < 1 or values.type.shape != (2,):
        received = f"{count} and {values.type.shape}"
        raise ModelError(
            "", "'depth' or 'values' is wrong", expected="a positive number, and two values", received=received
        )
    check_pattern(count)
    rank = indices.type.rank + 1
    place = axis_in(axis, rank)
    shape = (*indices.type.shape[:place], 1, *indices.type.shape[place:])
    x = call.make(ops.Reshape(shape), indices)
    below = call.make(ops.Greater(), number(call, 0, x), x)
    x = call.make(ops.Where(), below, call.make(ops.Add(), x, number(call, count, x)), x)
    pattern = np.arange(count, dtype=x.type.dtype.numpy).reshape((count,) + (1,) * (rank - 1 - place))
    here = call.make(ops.Equal(), x, call.constant(pattern))
    off, on = (call.make(ops.Slice.along((2,), 0, at, 1), values) for at in (0, 1))
    return call.make(ops.Where(), here, on, off)


@handler("Trilu")
def trilu(call: Call, x: Node, k: Array | None = None, *, upper: bool = True) -> Node:
    """Zeros below a diagonal of the last two axes, or above it."""
    if x.type.rank < 2:
        raise ShapeError("", "the input is no matrix", expected="2 axes or more", received=str(x.type.shape))
    rows, columns = x.type.shape[-2:]
    offset = 0 if k is None else max(min(int(k.reshape(-1)[0]), columns), -rows)
    distance = np.arange(columns)[None, :] - np.arange(rows)[:, None]
    kept = distance >= offset if upper else distance <= offset
    return call.make(ops.Where(), call.constant(kept), x, number(call, 0, x))


@handler("ReverseSequence")
def reverse_sequence(call: Call, x: Node, lengths: Array, *, batch_axis: int = 1, time_axis: int = 0) -> Node:
    """The first elements of each sequence in the opposite order; as many as `lengths` says, the rest in theirs."""
    batch, time = (axis_in(axis, x.type.rank) for axis in (batch_axis, time_axis))
    count = x.type.shape[time]
    if lengths.shape != (x.type.shape[batch],) or lengths.min() < 0 or lengths.max() > count or batch == time:
        expected = f"{x.type.shape[batch]} numbers from 0 to {count}"
        raise ModelError("", "the lengths are wrong", expected=expected, received=str(lengths.tolist())[:100])
    places = np.arange(count)[:, None]
    mirrored = np.where(places < lengths, lengths - 1 - places, places)
    shape = [1] * x.type.rank
    shape[batch], shape[time] = x.type.shape[batch], count
    indices = (mirrored if time < batch else mirrored.T).reshape(shape)
    whole = call.constant(np.ascontiguousarray(np.broadcast_to(indices, x.type.shape)).astype(np.int32))
    return call.make(ops.TakeAlong(time), x, whole)


@handler("Det")
def det(call: Call, x: Node) -> Node:
    """Determinants of matrices of up to 3 rows."""
    size = x.type.shape[-1] if x.type.rank > 1 else 0
    if x.type.rank < 2 or x.type.shape[-2] != size or size > 3:
        raise UnsupportedError(
            "", "this determinant is not supported", expected="matrices of 1 to 3 rows", received=str(x.type.shape)
        )
    lead = x.type.shape[:-2]

    def element(row: int, column: int) -> Node:
        starts, sizes = (*(0 for _ in lead), row, column), (*lead, 1, 1)
        return call.make(ops.Reshape(lead), call.make(ops.Slice(starts, sizes, (1,) * x.type.rank), x))

    def minor(rows: tuple[int, int], columns: tuple[int, int]) -> Node:
        first = call.make(ops.Multiply(), element(rows[0], columns[0]), element(rows[1], columns[1]))
        return call.make(
            ops.Subtract(), first, call.make(ops.Multiply(), element(rows[0], columns[1]), element(rows[1], columns[0]))
        )

    if size == 1:
        return element(0, 0)
    if size == 2:
        return minor((0, 1), (0, 1))
    terms = [
        call.make(ops.Multiply(), element(0, c), minor((1, 2), rest)) for c, rest in enumerate(((1, 2), (0, 2), (0, 1)))
    ]
    return call.make(ops.Add(), call.make(ops.Subtract(), terms[0], terms[1]), terms[2])
