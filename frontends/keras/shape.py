"""Layers and functions of keras.ops that rename axes or bring them into another order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from convc import ops
from convc.errors import ModelError, ShapeError
from convc.frontends.keras.arguments import axes_of, axis_of, sizes, vector
from convc.frontends.keras.config import Fields, is_integer, plain, show
from convc.frontends.keras.index import flipped
from convc.frontends.keras.operator import Arguments, register_function
from convc.frontends.keras.registry import Layer, register
from convc.frontends.keras.window import channels_last, check_rank
from convc.ir import Node, Origin, Shape, make


@dataclass(frozen=True)
class Reshape(Layer):
    """Another shape, the batch left out; at most one size is -1 and follows from the others."""

    target: tuple[int, ...]
    integers: ClassVar[bool] = True

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        batch, *rest = inputs[0].type.shape
        known = math.prod(extent for extent in self.target if extent != -1)
        elements = math.prod(rest)
        if elements % known or (-1 not in self.target and elements != known):
            raise ShapeError("", "the shape does not fit", expected=f"{elements} elements", received=str(self.target))
        shape = (elements // known if extent == -1 else extent for extent in self.target)
        return make(ops.Reshape((batch, *shape)), *inputs, origin=origin)


@dataclass(frozen=True)
class Flatten(Layer):
    """All axes but the batch in one; channels that come first are moved last before."""

    channels_first: bool
    integers: ClassVar[bool] = True

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        (x,) = inputs
        if self.channels_first and x.type.rank > 2:
            x = channels_last(x, origin)
        return make(ops.Reshape((x.type.shape[0], math.prod(x.type.shape[1:]))), x, origin=origin)


@dataclass(frozen=True)
class Permute(Layer):
    """Axes in another order; they count from 1, the batch stays in front."""

    order: tuple[int, ...]
    integers: ClassVar[bool] = True

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        return make(ops.Transpose((0, *self.order)), *inputs, origin=origin)


def _reshape(fields: Fields) -> Layer:
    target = fields.integers("target_shape", None, minimum=-1)
    if 0 in target or target.count(-1) > 1:
        raise ModelError("", "'target_shape' is wrong", expected="positive sizes, one -1 at most", received=str(target))
    return Reshape(target)


def _newshape(call: Arguments) -> Node:
    """One size may be -1, or null where the config leaves the batch open; the batch is counted."""
    x = call.tensor("x")
    given = plain(call.values.get("newshape"))
    given = given if isinstance(given, list) else [given]
    if not all(size is None or is_integer(size, -1) for size in given) or 0 in given:
        raise ModelError("", "'newshape' is wrong", expected="positive sizes, one -1 at most", received=show(given))
    shape = tuple(size if isinstance(size, int) else -1 for size in given)
    known = math.prod(size for size in shape if size != -1)
    if shape.count(-1) > 1:
        raise ModelError("", "'newshape' is wrong", expected="one -1 at most", received=str(shape))
    elements = x.type.elements
    if elements % known or (-1 not in shape and elements != known):
        raise ShapeError("", "the shape does not fit", expected=f"{elements} elements", received=str(shape))
    return _reshaped(x, tuple(elements // known if size == -1 else size for size in shape), call)


def _reshaped(x: Node, shape: Shape, call: Arguments) -> Node:
    return make(ops.Reshape(shape), x, origin=call.origin)


def _transposed(x: Node, order: Sequence[int], call: Arguments) -> Node:
    return make(ops.Transpose(tuple(order)), x, origin=call.origin)


def _transpose(call: Arguments) -> Node:
    x = call.tensor("x")
    rank = x.type.rank
    order = tuple(range(rank))[::-1] if call.values.get("axes") is None else axes_of(call, rank, "axes")
    return _transposed(x, order, call)


def _swapaxes(call: Arguments) -> Node:
    x = call.tensor("x")
    first, second = axis_of(call, x.type.rank, "axis1"), axis_of(call, x.type.rank, "axis2")
    order = list(range(x.type.rank))
    order[first], order[second] = second, first
    return _transposed(x, order, call)


def _moveaxis(call: Arguments) -> Node:
    x = call.tensor("x")
    sources, places = axes_of(call, x.type.rank, "source"), axes_of(call, x.type.rank, "destination")
    if len(sources) != len(places):
        received = f"{len(sources)} and {len(places)}"
        raise ModelError("", "'source' and 'destination' differ in length", expected="as many", received=received)
    order = [axis for axis in range(x.type.rank) if axis not in sources]
    for place, source in sorted(zip(places, sources, strict=True)):
        order.insert(place, source)
    return _transposed(x, order, call)


def _expand_dims(call: Arguments) -> Node:
    """New axes of one element; they count in the result."""
    x = call.tensor("x")
    axes = axes_of(call, x.type.rank + len(sizes(call, "axis", minimum=None)))
    rest = iter(x.type.shape)
    return _reshaped(x, tuple(1 if axis in axes else next(rest) for axis in range(x.type.rank + len(axes))), call)


def _squeeze(call: Arguments) -> Node:
    """Without the given axes, or without all axes of one element."""
    x = call.tensor("x")
    shape = x.type.shape
    if call.values.get("axis") is None:
        return _reshaped(x, tuple(extent for extent in shape if extent != 1), call)
    axes = axes_of(call, x.type.rank)
    for axis in axes:
        if shape[axis] != 1:
            raise ShapeError("", f"axis {axis} cannot be left out", expected="1 element", received=str(shape[axis]))
    return _reshaped(x, tuple(extent for axis, extent in enumerate(shape) if axis not in axes), call)


def _rot90(call: Arguments) -> Node:
    """Quarter turns from the first axis towards the second."""
    x = call.tensor("array")
    axes = axes_of(call, x.type.rank, "axes")
    if len(axes) != 2:
        raise ModelError("", "'axes' is wrong", expected="2 axes", received=str(len(axes)))
    turns = call.fields.integer("k", 1, minimum=None) % 4
    if turns == 2:
        return flipped(x, axes, call)
    first, second = axes
    order = list(range(x.type.rank))
    order[first], order[second] = second, first
    if turns == 1:
        return _transposed(flipped(x, (second,), call), order, call)
    return flipped(_transposed(x, order, call), (second,), call) if turns else x


def _depth_to_space(call: Arguments) -> Node:
    """Blocks of channels become blocks of pixels; channels that come first vary slowest."""
    x, block, first = _blocks(call)
    if first:
        batch, channels, height, width = x.type.shape
    else:
        batch, height, width, channels = x.type.shape
    if channels % block**2:
        expected = f"a multiple of {block**2} channels"
        raise ShapeError("", "the channels do not fill blocks", expected=expected, received=str(channels))
    kept = channels // block**2
    if first:
        apart = _reshaped(x, (batch, kept, block, block, height, width), call)
        return _reshaped(
            _transposed(apart, (0, 1, 4, 2, 5, 3), call), (batch, kept, height * block, width * block), call
        )
    apart = _reshaped(x, (batch, height, width, block, block, kept), call)
    return _reshaped(_transposed(apart, (0, 1, 3, 2, 4, 5), call), (batch, height * block, width * block, kept), call)


def _space_to_depth(call: Arguments) -> Node:
    """The inverse of depth_to_space."""
    x, block, first = _blocks(call)
    if first:
        batch, channels, height, width = x.type.shape
    else:
        batch, height, width, channels = x.type.shape
    if height % block or width % block:
        expected = f"multiples of {block}"
        raise ShapeError("", "the pixels do not fill blocks", expected=expected, received=f"{height} x {width}")
    rows, columns, depth = height // block, width // block, channels * block**2
    if first:
        apart = _reshaped(x, (batch, channels, rows, block, columns, block), call)
        return _reshaped(_transposed(apart, (0, 1, 3, 5, 2, 4), call), (batch, depth, rows, columns), call)
    apart = _reshaped(x, (batch, rows, block, columns, block, channels), call)
    return _reshaped(_transposed(apart, (0, 1, 3, 2, 4, 5), call), (batch, rows, columns, depth), call)


def _blocks(call: Arguments) -> tuple[Node, int, bool]:
    x = call.tensor("x")
    check_rank(x.type, 4)
    return x, call.fields.integer("block_size", minimum=2), call.fields.channels_first()


register("Reshape", _reshape, "one size may be -1")
register("Flatten", lambda fields: Flatten(fields.channels_first()), "both data formats")
register("Permute", lambda fields: Permute(fields.integers("dims", None)), "any order")
register_function("reshape", "x", _newshape, "the batch is counted; one size may be -1", integers=True)
register_function("ravel", "x", lambda call: vector(call.tensor("x"), call), integers=True)
register_function("transpose", "x", _transpose, "any order", integers=True)
register_function("swapaxes", "x", _swapaxes, "any axes", integers=True)
register_function("moveaxis", "x", _moveaxis, "any axes", integers=True)
register_function("expand_dims", "x", _expand_dims, "any axes", integers=True)
register_function("squeeze", "x", _squeeze, "any axes", integers=True)
register_function("rot90", "array", _rot90, "any two axes and number of turns", integers=True)
register_function("depth_to_space", "x", _depth_to_space, "both data formats", integers=True)
register_function("space_to_depth", "x", _space_to_depth, "both data formats", integers=True)
