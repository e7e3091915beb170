"""Functions of keras.ops about the diagonals of matrices."""

from __future__ import annotations

import numpy as np

from convc import ops
from convc.errors import ModelError, ShapeError
from convc.frontends.keras.arguments import axis_of
from convc.frontends.keras.broadcast import filled
from convc.frontends.keras.logic import choice
from convc.frontends.keras.operator import Arguments, register_function
from convc.frontends.keras.slice import MAX_SELECTED, cut
from convc.ir import Node, make


def _diagonal(call: Arguments) -> Node:
    """The elements (i, i + offset) of two axes, along a last axis that takes their place."""
    x = call.tensor("x")
    rank = x.type.rank
    if rank < 2:
        raise ShapeError("", "the input has too few axes", expected="2 or more", received=str(rank))
    first, second = axis_of(call, rank, "axis1", 0), axis_of(call, rank, "axis2", 1)
    if first == second:
        raise ModelError("", "'axis1' and 'axis2' are the same", expected="different axes", received=str(first))
    offset = call.fields.integer("offset", 0, minimum=None)
    rest = [axis for axis in range(rank) if axis not in (first, second)]
    rows, columns = x.type.shape[first], x.type.shape[second]
    start = (max(-offset, 0), max(offset, 0))
    length = min(rows - start[0], columns - start[1])
    if length < 1:
        expected = f"{1 - rows} to {columns - 1}"
        raise ShapeError("", "the diagonal is empty", expected=expected, received=f"offset {offset}")
    moved = make(ops.Transpose((*rest, first, second)), x, origin=call.origin)
    kept = tuple(x.type.shape[axis] for axis in rest)
    flat = make(ops.Reshape((*kept, rows * columns)), moved, origin=call.origin)
    step = columns + 1 if length > 1 else 1
    return cut(flat, len(kept), start[0] * columns + start[1], length, call.origin, step)


def _trace(call: Arguments) -> Node:
    """The sum of a diagonal."""
    diagonal = _diagonal(call)
    return make(ops.ReduceSum((diagonal.type.rank - 1,), False), diagonal, origin=call.origin)


def _diag(call: Arguments) -> Node:
    """The diagonal k of a matrix, or a matrix of zeros but for that diagonal."""
    x = call.tensor("x")
    k = call.fields.integer("k", 0, minimum=None)
    if x.type.rank == 2:
        return _diagonal(Arguments({"x": call.values["x"], "offset": k}, call.nodes, call.origin))
    if x.type.rank != 1:
        raise ShapeError("", "the input has the wrong number of axes", expected="1 or 2", received=str(x.type.rank))
    (count,) = x.type.shape
    size = count + abs(k)
    # In row-major order, elements of a diagonal are size + 1 apart.
    column = make(ops.Reshape((count, 1)), x, origin=call.origin)
    apart = make(ops.Pad(((0, 0), (0, size))), column, origin=call.origin)
    flat = make(ops.Reshape((count * (size + 1),)), apart, origin=call.origin)
    used, first = (count - 1) * (size + 1) + 1, max(k, 0) + max(-k, 0) * size
    around = ops.Pad(((first, size * size - first - used),))
    matrix = make(around, cut(flat, 0, 0, used, call.origin), origin=call.origin)
    return make(ops.Reshape((size, size)), matrix, origin=call.origin)


def _triangle(call: Arguments, *, lower: bool) -> Node:
    """Zeros above, or below, the diagonal k of the last two axes."""
    x = call.tensor("x")
    if x.type.rank < 2:
        raise ShapeError("", "the input has too few axes", expected="2 or more", received=str(x.type.rank))
    rows, columns = x.type.shape[-2:]
    if rows * columns > MAX_SELECTED:
        expected = f"at most {MAX_SELECTED} elements"
        raise ModelError("", "the matrices are too large", expected=expected, received=f"{rows} x {columns}")
    k = call.fields.integer("k", 0, minimum=None)
    places = np.arange(columns) - np.arange(rows)[:, None]
    kept = ops.constant((places <= k if lower else places >= k).astype(np.float32), call.origin)
    return choice(kept, x, filled((1,) * x.type.rank, 0, x.type.dtype, call.origin), call.origin)


register_function("diagonal", "x", _diagonal, "any two axes and offset", integers=True)
register_function("trace", "x", _trace, "any two axes and offset")
register_function("diag", "x", _diag, "any diagonal", integers=True)
register_function("tril", "x", lambda call: _triangle(call, lower=True), "any diagonal", integers=True)
register_function("triu", "x", lambda call: _triangle(call, lower=False), "any diagonal", integers=True)
