"""Concatenate, and functions of keras.ops that put tensors side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from convc import ops
from convc.errors import ShapeError
from convc.frontends.keras.arguments import axis_of, flat, sizes, vector
from convc.frontends.keras.cast import promoted
from convc.frontends.keras.config import axis_in
from convc.frontends.keras.operator import Arguments, register_function
from convc.frontends.keras.registry import Layer, register
from convc.frontends.keras.slice import cut
from convc.ir import Node, Origin, make


@dataclass(frozen=True)
class Concat(Layer):
    """Inputs side by side along `axis`, which counts the batch and may count from the end."""

    axis: int
    arity: ClassVar = (1, None)
    integers: ClassVar[bool] = True

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        return joined(inputs, axis_in(self.axis, inputs[0].type.rank), origin)


def joined(parts: Sequence[Node], axis: int, origin: Origin) -> Node:
    """Tensors side by side along an axis; integers beside floating point become that."""
    return make(ops.Concat(axis), *promoted(parts, origin), origin=origin)


def _concatenate(call: Arguments) -> Node:
    parts = call.tensors("xs")
    return joined(parts, axis_of(call, parts[0].type.rank, default=0), call.origin)


def _stack(call: Arguments) -> Node:
    """Tensors of one shape along a new axis."""
    parts = call.tensors("x")
    shape = parts[0].type.shape
    for part in parts[1:]:
        if part.type.shape != shape:
            raise ShapeError("", "the inputs differ in shape", expected=str(shape), received=str(part.type.shape))
    axis = axis_of(call, len(shape) + 1, default=0)
    wider = (*shape[:axis], 1, *shape[axis:])
    return joined([make(ops.Reshape(wider), part, origin=call.origin) for part in parts], axis, call.origin)


def _append(call: Arguments) -> Node:
    """Without an axis, all elements in a row."""
    first, second = call.tensor("x1"), call.tensor("x2")
    if call.values.get("axis") is None:
        return joined((vector(first, call), vector(second, call)), 0, call.origin)
    return joined((first, second), axis_of(call, first.type.rank), call.origin)


def _stacked_along(axis: int, rank: int, call: Arguments) -> Node:
    """Along an existing axis, after axes of one element are added to tensors of less than `rank` axes."""
    parts = [_at_least(part, rank, call) for part in call.tensors("xs")]
    return joined(parts, min(axis, parts[0].type.rank - 1), call.origin)


def _at_least(x: Node, rank: int, call: Arguments) -> Node:
    """A vector is a row, and a matrix has one element along a third axis, as numpy.atleast_2d and atleast_3d say."""
    shape = x.type.shape
    if len(shape) >= rank:
        return x
    if len(shape) < 2:
        shape = (1,) * (min(rank, 2) - len(shape)) + shape
    return make(ops.Reshape(shape + (1,) * (rank - len(shape))), x, origin=call.origin)


def _roll(call: Arguments) -> Node:
    """Elements that leave at the end come in at the start; without an axis, through all elements in a row."""
    if call.values.get("axis") is None:
        x, _ = flat(call, "x")
        total = sum(sizes(call, "shift", minimum=None))
        rolled = _rolled(x, 0, total, call)
        return make(ops.Reshape(call.tensor("x").type.shape), rolled, origin=call.origin)
    x = call.tensor("x")
    shifts, axes = sizes(call, "shift", minimum=None), sizes(call, "axis", minimum=None)
    if len(shifts) != len(axes) and 1 not in (len(shifts), len(axes)):
        received = f"{len(shifts)} and {len(axes)}"
        raise ShapeError("", "'shift' and 'axis' differ in length", expected="as many", received=received)
    count = max(len(shifts), len(axes))
    for shift, axis in zip(shifts * (count // len(shifts)), axes * (count // len(axes)), strict=True):
        x = _rolled(x, axis_in(axis, x.type.rank), shift, call)
    return x


def _rolled(x: Node, axis: int, shift: int, call: Arguments) -> Node:
    extent = x.type.shape[axis]
    moved = shift % extent
    if not moved:
        return x
    tail = cut(x, axis, extent - moved, moved, call.origin)
    return joined((tail, cut(x, axis, 0, extent - moved, call.origin)), axis, call.origin)


register("Concatenate", lambda fields: Concat(fields.integer("axis", -1, minimum=None)), "any axis")
register_function("concatenate", "xs", _concatenate, "any axis; tensors and constants", integers=True)
register_function("stack", "x", _stack, "any axis; tensors and constants", integers=True)
register_function("append", "x1 x2", _append, "any axis, or none", integers=True)
register_function("hstack", "xs", lambda call: _stacked_along(1, 1, call), integers=True)
register_function("vstack", "xs", lambda call: _stacked_along(0, 2, call), integers=True)
register_function("dstack", "xs", lambda call: _stacked_along(2, 3, call), integers=True)
register_function("roll", "x", _roll, "any axes, or none", integers=True)
