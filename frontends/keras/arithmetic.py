"""Layers and functions of keras.ops that add, subtract or multiply element by element, and Rescaling."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

import numpy as np

from convc import ops
from convc.errors import ShapeError
from convc.frontends.keras.operator import Arguments, register_function
from convc.frontends.keras.registry import Layer, register
from convc.ir import Array, Node, Origin, make

Function = Callable[[Node, Node, Origin], Node]


def _add(a: Node, b: Node, origin: Origin) -> Node:
    return make(ops.Add(), a, b, origin=origin)


def _multiply(a: Node, b: Node, origin: Origin) -> Node:
    return make(ops.Multiply(), a, b, origin=origin)


def _subtract(a: Node, b: Node, origin: Origin) -> Node:
    """a + -1 b, which rounds as a - b does."""
    return _add(a, _multiply(b, ops.constant(np.full(1, -1.0), origin), origin), origin)


@dataclass(frozen=True)
class Merge(Layer):
    """A layer that merges tensors of one rank, from the left; axes of size one are repeated."""

    function: Function
    arity: ClassVar[tuple[int, int | None]] = (1, None)

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        if len({x.type.rank for x in inputs}) > 1:
            received = " and ".join(str(x.type.shape) for x in inputs[:4])
            raise ShapeError("", "the inputs differ in their number of axes", received=received)
        return reduce(lambda a, b: self.function(a, b, origin), inputs)


@dataclass(frozen=True)
class Pair(Merge):
    """A layer that merges two tensors."""

    arity: ClassVar[tuple[int, int | None]] = (2, 2)


@dataclass(frozen=True, eq=False)
class Rescaling(Layer):
    """x * scale + offset; vectors run along the last axis."""

    scale: Array
    offset: Array

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        scale, offset = (ops.constant(value, origin) for value in (self.scale, self.offset))
        (x,) = inputs
        return _add(_multiply(x, scale, origin), offset, origin)


register("Add", lambda fields: Merge(_add), "any number of inputs of one rank")
register("Multiply", lambda fields: Merge(_multiply), "any number of inputs of one rank")
register("Subtract", lambda fields: Pair(_subtract), "two inputs of one rank")
for _name, _function in (("add", _add), ("multiply", _multiply), ("subtract", _subtract)):

    def _build(call: Arguments, function: Function = _function) -> Node:
        return function(call.tensor("x1"), call.tensor("x2"), call.origin)

    register_function(_name, "x1 x2", _build, "tensors and constants on either side")
register(
    "Rescaling",
    lambda fields: Rescaling(fields.numbers("scale"), fields.numbers("offset", 0.0)),
    "numbers, or vectors along the last axis",
)
