"""Embedding, and functions of keras.ops that pick elements by indices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convc import ops
from convc.errors import ModelError, ShapeError
from convc.frontends.keras.arguments import axis_of, flat, integers, refuse
from convc.frontends.keras.broadcast import broadcast
from convc.frontends.keras.cast import cast, dtype_of
from convc.frontends.keras.config import Fields
from convc.frontends.keras.initializers import Initializer, parse_initializer
from convc.frontends.keras.masking import where_not
from convc.frontends.keras.operator import Arguments, register_function
from convc.frontends.keras.registry import Layer, Masked, Masks, Weight, register
from convc.frontends.keras.slice import MAX_SELECTED, select
from convc.frontends.keras.truth import as_number
from convc.ir import Array, DType, Node, Origin, Shape, TensorType, make


@dataclass(frozen=True)
class Embedding(Masked):
    """A row of a table for each index; floating point indices are cut off towards zero.

    Where `mask_zero`, the steps of index 0 do not count.
    """

    rows: int
    columns: int
    initializer: Initializer
    mask_zero: bool
    integers: ClassVar[bool] = True

    def weights(self, *inputs: TensorType) -> tuple[Weight, ...]:
        return (Weight("embeddings", (self.rows, self.columns), self.initializer),)

    def masked(
        self, inputs: Sequence[Node], masks: Masks, weights: Mapping[str, Node], origin: Origin
    ) -> Sequence[tuple[Node, Node | None]]:
        indices = cast(inputs[0], DType.INT32, origin)
        rows = make(ops.Take(0), weights["embeddings"], indices, origin=origin)
        return [(rows, where_not(inputs[0], (0,), origin) if self.mask_zero else None)]


def _take(call: Arguments) -> Node:
    """Constant indices or a tensor of them; without an axis, of all elements in a row."""
    x, axis = flat(call, "x")
    constants = integers(call, "indices")
    if constants is None:
        return make(ops.Take(axis), x, call.tensor("indices"), origin=call.origin)
    inside = _inside(constants, x.type.shape[axis])
    shape = (*x.type.shape[:axis], *inside.shape, *x.type.shape[axis + 1 :])
    return make(ops.Reshape(shape), select(x, axis, inside.ravel().tolist(), call.origin), origin=call.origin)


def _take_along_axis(call: Arguments) -> Node:
    """One index for each element; axes of one element are repeated on either side."""
    x, axis = flat(call, "x")
    constants = integers(call, "indices")
    if constants is None:
        indices = call.tensor("indices")
    else:
        indices = ops.constant(_inside(constants, x.type.shape[axis]), call.origin)
    if call.values.get("axis") is None and indices.type.rank != 1:
        raise ShapeError("", "the indices have the wrong number of axes", expected="1", received=str(indices.type.rank))
    if indices.type.rank != x.type.rank:
        received = f"{indices.type.shape} for {x.type.shape}"
        raise ShapeError("", "the indices have another number of axes than the input", received=received)
    common = [max(a, b) for a, b in zip(x.type.shape, indices.type.shape, strict=True)]
    return make(
        ops.TakeAlong(axis),
        broadcast(x, _with(common, axis, x.type.shape[axis]), call.origin),
        broadcast(indices, _with(common, axis, indices.type.shape[axis]), call.origin),
        origin=call.origin,
    )


def _one_hot(call: Arguments) -> Node:
    """1 where a class has the index, 0 elsewhere, also for indices outside; classes along a new axis."""
    x = call.tensor("x")
    count = call.fields.integer("num_classes")
    if count > MAX_SELECTED:
        expected = f"at most {MAX_SELECTED}"
        raise ModelError("", "'num_classes' is too large", expected=expected, received=str(count))
    if call.fields.flag("sparse", False):
        raise refuse(call, "sparse", "False")
    rank = x.type.rank + 1
    axis = axis_of(call, rank, default=-1)
    classes = np.arange(count, dtype=x.type.dtype.numpy).reshape((count, *(1,) * (rank - 1 - axis)))
    wider = make(ops.Reshape((*x.type.shape[:axis], 1, *x.type.shape[axis:])), x, origin=call.origin)
    hot = make(ops.Equal(), wider, ops.constant(classes, call.origin), origin=call.origin)
    if call.values.get("dtype") == "bool":
        return hot
    return cast(as_number(hot, call.origin), dtype_of(call, DType.FLOAT32), call.origin)


def _with(shape: Sequence[int], axis: int, extent: int) -> Shape:
    return (*shape[:axis], extent, *shape[axis + 1 :])


def _inside(indices: Array, extent: int) -> Array:
    """Indices counted from the front. Raises `ShapeError` for those outside."""
    outside = indices[(indices < -extent) | (indices >= extent)]
    if outside.size:
        raise ShapeError("", "an index is outside", expected=f"{-extent} to {extent - 1}", received=str(outside[0]))
    return np.where(indices < 0, indices + extent, indices)


def _embedding(fields: Fields) -> Layer:
    initializer = parse_initializer(fields, "embeddings_initializer", "uniform")
    mask_zero = fields.flag("mask_zero", False)
    return Embedding(fields.integer("input_dim"), fields.integer("output_dim"), initializer, mask_zero)


register("Embedding", _embedding, "integers, or numbers that are cut off to them; an index outside gives NaN")
register_function("one_hot", "x", _one_hot, "any axis", integers=True)
register_function("take", "x indices", _take, "indices constant or a tensor; any axis, or none", integers=True)
register_function("take_along_axis", "x indices", _take_along_axis, "indices constant or a tensor", integers=True)
