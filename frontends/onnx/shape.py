"""Operators that rename or move elements: Reshape, Flatten, Transpose, Squeeze, Unsqueeze, Identity."""

from __future__ import annotations

import math

import numpy as np

from convc import ops
from convc.errors import ModelError, ShapeError
from convc.frontends.onnx.registry import Call, handler
from convc.frontends.onnx.window import Ints
from convc.ir import Array, Node

MAX_PATTERN = 1 << 22
"""Elements of an array of indices that a handler makes: more is taken for an attack."""


def check_pattern(elements: int) -> None:
    """Raises `ShapeError` with an empty subject where indices would be too many, or fewer than one."""
    if not 1 <= elements <= MAX_PATTERN:
        raise ShapeError("", "a size is wrong", expected=f"1 to {MAX_PATTERN}", received=str(elements)[:100])


def axis_in(axis: int, rank: int) -> int:
    """`axis` counted from the front. Raises `ModelError` with an empty subject where it is outside."""
    if not -rank <= axis < rank:
        raise ModelError("", "the axis is outside the input", expected=f"{-rank} to {rank - 1}", received=str(axis))
    return axis % rank


def axes_of(given: Array | None, attribute: Ints | None) -> Ints | None:
    """The axes of an input since opset 13 (or 18), of an attribute before."""
    return attribute if given is None else tuple(int(axis) for axis in np.atleast_1d(given))


@handler("Identity")
def identity(call: Call, x: Node) -> Node:
    """The input."""
    return x


@handler("Reshape")
def reshape(call: Call, data: Node, shape: Array, *, allowzero: bool = False) -> Node:
    """0 keeps a size, -1 follows from the others."""
    elements = data.type.elements
    target = [int(extent) for extent in shape.reshape(-1)]
    if not allowzero:
        if any(extent == 0 and axis >= data.type.rank for axis, extent in enumerate(target)):
            raise ShapeError("", "0 in the shape keeps a size that is not there", received=str(target))
        target = [data.type.shape[axis] if extent == 0 else extent for axis, extent in enumerate(target)]
    known = math.prod(extent for extent in target if extent != -1)
    if target.count(-1) > 1 or any(extent < -1 for extent in target) or known == 0:
        raise ShapeError("", "the shape is wrong", expected="positive sizes, at most one -1", received=str(target))
    if elements % known or (-1 not in target and known != elements):
        raise ShapeError("", "the shape does not fit", expected=f"{elements} elements", received=str(target))
    return call.make(ops.Reshape(tuple(elements // known if extent == -1 else extent for extent in target)), data)


@handler("Flatten")
def flatten(call: Call, x: Node, *, axis: int = 1) -> Node:
    """Two axes: those before `axis`, and the rest."""
    place = axis if axis == x.type.rank else axis_in(axis, x.type.rank)
    shape = x.type.shape
    return call.make(ops.Reshape((math.prod(shape[:place]), math.prod(shape[place:]))), x)


@handler("Transpose")
def transpose(call: Call, data: Node, *, perm: Ints | None = None) -> Node:
    """Axes in another order, reversed unless it is given."""
    return call.make(ops.Transpose(tuple(reversed(range(data.type.rank))) if perm is None else perm), data)


@handler("Squeeze")
def squeeze(call: Call, data: Node, given: Array | None = None, *, axes: Ints | None = None) -> Node:
    """Without the axes of size one that are named, or without all of them."""
    wanted = axes_of(given, axes)
    shape = data.type.shape
    if wanted is None:
        return call.make(ops.Reshape(tuple(extent for extent in shape if extent != 1)), data)
    gone = {axis_in(axis, len(shape)) for axis in wanted}
    if any(shape[axis] != 1 for axis in gone):
        raise ShapeError("", "an axis to be squeezed is not of size 1", received=f"{sorted(gone)} of {shape}")
    return call.make(ops.Reshape(tuple(extent for axis, extent in enumerate(shape) if axis not in gone)), data)


@handler("Unsqueeze")
def unsqueeze(call: Call, data: Node, given: Array | None = None, *, axes: Ints | None = None) -> Node:
    """With axes of size one at the places that are named, counted in the result."""
    wanted = axes_of(given, axes)
    if wanted is None:
        raise ModelError("", "the axes are missing")
    rank = data.type.rank + len(wanted)
    places = {axis_in(axis, rank) for axis in wanted}
    if len(places) < len(wanted):
        raise ModelError("", "an axis is named twice", received=str(wanted))
    rest = iter(data.type.shape)
    return call.make(ops.Reshape(tuple(1 if axis in places else next(rest) for axis in range(rank))), data)
