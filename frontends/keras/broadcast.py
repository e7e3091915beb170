"""RepeatVector, and functions of keras.ops that repeat elements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convc import ops
from convc.errors import ModelError, ShapeError
from convc.frontends.keras.arguments import flat, sizes
from convc.frontends.keras.cast import dtype_of
from convc.frontends.keras.config import is_integer, show
from convc.frontends.keras.operator import Arguments, register_function
from convc.frontends.keras.registry import Layer, register
from convc.frontends.keras.slice import MAX_SELECTED, select
from convc.frontends.keras.window import check_rank
from convc.ir import DType, Node, Origin, Shape, make


@dataclass(frozen=True)
class RepeatVector(Layer):
    """Each vector n times in a row."""

    n: int
    integers: ClassVar[bool] = True

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        (x,) = inputs
        check_rank(x.type, 2)
        batch, features = x.type.shape
        column = make(ops.Reshape((batch, 1, features)), x, origin=origin)
        return make(ops.Broadcast((batch, self.n, features)), column, origin=origin)


def repeated(x: Node, counts: Shape, origin: Origin) -> Node:
    """Each element `counts` times in a row along each axis: one copy that runs at the speed of memory."""
    return _spread(x, (1,) * len(counts), counts, origin)


def tiled(x: Node, counts: Shape, origin: Origin) -> Node:
    """All of x `counts` times in a row along each axis."""
    return _spread(x, counts, (1,) * len(counts), origin)


def broadcast(x: Node, shape: Shape, origin: Origin) -> Node:
    """`x` under NumPy's rule in `shape`; `x` itself where it has it."""
    return x if x.type.shape == shape else make(ops.Broadcast(shape), x, origin=origin)


def filled(shape: Shape, value: float, dtype: DType, origin: Origin) -> Node:
    """`value` everywhere."""
    one = ops.constant(np.full((1,) * len(shape), value, dtype.numpy), origin)
    return make(ops.Broadcast(shape), one, origin=origin)


def _spread(x: Node, outer: Shape, inner: Shape, origin: Origin) -> Node:
    """Axes of one element in front of and behind each axis that is repeated, made longer, and merged with it."""
    if all(count == 1 for count in (*outer, *inner)):
        return x
    narrow: list[int] = []
    wide: list[int] = []
    for before, extent, behind in zip(outer, x.type.shape, inner, strict=True):
        for count, size in ((before, 1), (1, extent), (behind, 1)):
            if size > 1 or count > 1:
                narrow.append(size)
                wide.append(size * count)
    spread = make(ops.Reshape(tuple(narrow)), x, origin=origin)
    spread = make(ops.Broadcast(tuple(wide)), spread, origin=origin)
    shape = tuple(a * extent * b for a, extent, b in zip(outer, x.type.shape, inner, strict=True))
    return make(ops.Reshape(shape), spread, origin=origin)


def _tile(call: Arguments) -> Node:
    """Axes are added in front of the shorter of x's shape and the counts."""
    x = call.tensor("x")
    counts = sizes(call, "repeats", minimum=1)
    rank = max(len(counts), x.type.rank)
    counts = (1,) * (rank - len(counts)) + counts
    shape = (1,) * (rank - x.type.rank) + x.type.shape
    return tiled(make(ops.Reshape(shape), x, origin=call.origin), counts, call.origin)


def _repeat(call: Arguments) -> Node:
    """A count for all elements of the axis, or one for each."""
    x, axis = flat(call, "x")
    counts = sizes(call, "repeats", minimum=0)
    extent = x.type.shape[axis]
    if len(counts) == 1 and counts[0] > 0:
        return repeated(x, (*(1,) * axis, *counts, *(1,) * (x.type.rank - axis - 1)), call.origin)
    if len(counts) not in (1, extent):
        raise ShapeError("", "'repeats' does not fit", expected=f"1 or {extent} counts", received=str(len(counts)))
    if sum(counts) > MAX_SELECTED:
        expected = f"at most {MAX_SELECTED} in all"
        raise ModelError("", "'repeats' is too large", expected=expected, received=str(sum(counts)))
    return select(x, axis, np.repeat(np.arange(extent), counts if len(counts) > 1 else 0).tolist(), call.origin)


def _broadcast_to(call: Arguments) -> Node:
    return broadcast(call.tensor("x"), sizes(call, "shape", minimum=1), call.origin)


def _like(call: Arguments, value: float) -> Node:
    x = call.tensor("x")
    # Truth values are 0.0 and 1.0; Keras makes masks of them.
    dtype = DType.FLOAT32 if call.values.get("dtype") == "bool" else dtype_of(call, x.type.dtype)
    return filled(x.type.shape, value, dtype, call.origin)


def _full_like(call: Arguments) -> Node:
    x = call.tensor("x")
    value = call.values.get("fill_value")
    dtype = dtype_of(call, x.type.dtype)
    if dtype is DType.INT32 and not is_integer(value):
        raise ModelError("", "'fill_value' is wrong", expected="an integer", received=show(value))
    return filled(x.type.shape, call.fields.number("fill_value"), dtype, call.origin)


register("RepeatVector", lambda fields: RepeatVector(fields.integer("n")), "any number")
register_function("broadcast_to", "x", _broadcast_to, "any shape", integers=True)
register_function("tile", "x", _tile, "any counts", integers=True)
register_function("repeat", "x", _repeat, "one count, or one for each element; axis or none", integers=True)
register_function("zeros_like", "x", lambda call: _like(call, 0), "float32 and int32", integers=True)
register_function("ones_like", "x", lambda call: _like(call, 1), "float32 and int32", integers=True)
register_function("full_like", "x fill_value", _full_like, "a number; float32 and int32", integers=True)
