"""GatherND, and the operators that write at indices, which are known when the model is compiled.

Writing is turned into reading: for each element of the result it is known which updates fall on it.
"""

from __future__ import annotations

import math

import numpy as np

from convc import ops
from convc.errors import ModelError, ShapeError, UnsupportedError
from convc.frontends.onnx.arithmetic import number
from convc.frontends.onnx.registry import Call, Value, handler
from convc.frontends.onnx.shape import axis_in
from convc.ir import Array, Node, Op, Shape

MAX_ROUNDS = 64
"""Updates of one element."""

_REDUCTIONS: dict[str, Op] = {
    "add": ops.Add(), "mul": ops.Multiply(), "max": ops.Maximum(), "min": ops.Minimum(),
}  # fmt: skip


def _checked(indices: Array, extent: int) -> Array:
    """Indices counted from the front. Raises `ShapeError` with an empty subject."""
    if indices.dtype.kind not in "iu" or (indices.size and not -extent <= indices.min() <= indices.max() < extent):
        raise ShapeError("", "an index is outside the axis", expected=f"{-extent} to {extent - 1}")
    return np.where(indices < 0, indices + extent, indices).astype(np.int64)


def _written(call: Call, data: Node, updates: Node, places: Array, reduction: str) -> Node:
    """`data` of n rows, changed at `places` by the rows of `updates`; both are of two axes."""
    if reduction != "none" and reduction not in _REDUCTIONS:
        expected = f"none, {', '.join(_REDUCTIONS)}"
        raise ModelError("", "'reduction' is wrong", expected=expected, received=reduction[:100])
    rows = data.type.shape[0]
    order = np.argsort(places, kind="stable")
    sorted_places = places[order]
    starts = np.searchsorted(sorted_places, sorted_places, side="left")
    turn = np.arange(len(places)) - starts
    """How many updates of the same row come before."""
    if reduction == "none":
        last = np.searchsorted(sorted_places, sorted_places, side="right") - 1 - starts == turn
        order, sorted_places, turn = order[last], sorted_places[last], np.zeros(int(last.sum()), np.int64)
    if turn.size and turn.max() >= MAX_ROUNDS:
        received = str(int(turn.max()) + 1)
        raise UnsupportedError(
            "", "too many updates of one element", expected=f"at most {MAX_ROUNDS}", received=received
        )
    for number_of_turn in range(int(turn.max(initial=-1)) + 1):
        now = turn == number_of_turn
        source, here = np.zeros(rows, np.int32), np.zeros((rows, 1), bool)
        source[sorted_places[now]] = order[now]
        here[sorted_places[now]] = True
        values = call.make(ops.Take(0), updates, call.constant(source))
        new = values if reduction == "none" else call.make(_REDUCTIONS[reduction], data, values)
        data = new if here.all() else call.make(ops.Where(), call.constant(here), new, data)
    return data


@handler("ScatterElements", "Scatter")
def scatter_elements(
    call: Call, data: Node, indices: Array, updates: Node, *, axis: int = 0, reduction: str = "none"
) -> Node:
    """Single elements changed, each at an index along an axis and at its own place along the others."""
    shape, place = data.type.shape, axis_in(axis, data.type.rank)
    fits = indices.ndim == len(shape) and all(
        own <= extent for i, (own, extent) in enumerate(zip(indices.shape, shape, strict=True)) if i != place
    )
    if not fits or updates.type.shape != indices.shape:
        received = f"indices {indices.shape}, updates {updates.type.shape}"
        raise ShapeError("", "the indices do not fit", expected=f"no more than {shape}", received=received)
    coordinates: list[Array] = list(np.indices(indices.shape))
    coordinates[place] = _checked(indices, shape[place])
    places = np.ravel_multi_index(tuple(coordinates), shape).reshape(-1)
    flat = call.make(ops.Reshape((data.type.elements, 1)), data)
    column = call.make(ops.Reshape((updates.type.elements, 1)), updates)
    return call.make(ops.Reshape(shape), _written(call, flat, column, places, reduction))


@handler("ScatterND")
def scatter_nd(call: Call, data: Node, indices: Array, updates: Node, *, reduction: str = "none") -> Node:
    """Slices changed; the last axis of `indices` has an index for each of the first axes of the data."""
    shape = data.type.shape
    depth = indices.shape[-1] if indices.ndim else 0
    if not 1 <= depth <= len(shape) or updates.type.shape != (*indices.shape[:-1], *shape[depth:]):
        received = f"indices {indices.shape}, updates {updates.type.shape}"
        raise ShapeError("", "the indices do not fit", expected=f"at most {len(shape)} for {shape}", received=received)
    coordinates = tuple(_checked(indices[..., axis], shape[axis]) for axis in range(depth))
    places = np.ravel_multi_index(coordinates, shape[:depth]).reshape(-1)
    width = math.prod(shape[depth:])
    rows = call.make(ops.Reshape((math.prod(shape[:depth]), width)), data)
    changes = call.make(ops.Reshape((len(places), width)), updates)
    return call.make(ops.Reshape(shape), _written(call, rows, changes, places, reduction))


@handler("GatherND")
def gather_nd(call: Call, data: Node, indices: Value, *, batch_dims: int = 0) -> Node:
    """Slices at indices for each of the first axes of the data, behind `batch_dims` axes that both have."""
    shape = data.type.shape
    given: Shape = indices.type.shape if isinstance(indices, Node) else indices.shape
    depth = given[-1] if given else 0
    behind = batch_dims + depth
    if not (
        0 <= batch_dims < len(given)
        and depth >= 1
        and behind <= len(shape)
        and given[:batch_dims] == shape[:batch_dims]
    ):
        raise ShapeError("", "the indices do not fit", expected=f"batches of {shape}", received=str(given))
    sizes = shape[batch_dims:behind]
    batch = math.prod(shape[:batch_dims])
    offsets = np.arange(batch).reshape(given[:batch_dims] + (1,) * (len(given) - 1 - batch_dims)) * math.prod(sizes)
    flat = call.make(ops.Reshape((math.prod(shape[:behind]), *shape[behind:])), data)
    if not isinstance(indices, Node):
        coordinates = tuple(_checked(indices[..., axis], size) for axis, size in enumerate(sizes))
        places = np.ravel_multi_index(coordinates, sizes) + offsets
        return call.make(ops.Take(0), flat, call.constant(places.astype(np.int32)))
    total: Node = call.constant(offsets.astype(np.int32))
    for axis, size in enumerate(sizes):
        part = call.make(ops.Slice.along(given, len(given) - 1, axis, 1), indices)
        index = call.make(ops.Reshape(given[:-1]), part)
        wrapped = call.make(ops.Add(), index, number(call, size, index))
        index = call.make(ops.Where(), call.make(ops.Greater(), number(call, 0, index), index), wrapped, index)
        stride = number(call, math.prod(sizes[axis + 1 :]), index)
        total = call.make(ops.Add(), call.make(ops.Multiply(), index, stride), total)
    return call.make(ops.Take(0), flat, total)
