"""Merging layers that compute element by element, and Rescaling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

from convc import ops
from convc.errors import ShapeError
from convc.frontends.keras.registry import Layer, register
from convc.ir import Array, Node, Origin, make


@dataclass(frozen=True)
class Merge(Layer):
    """Add and Multiply of two tensors or more, from the left; axes of size one are repeated."""

    op: ops.Binary
    arity: ClassVar = (1, None)

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        if len({x.type.rank for x in inputs}) > 1:
            received = " and ".join(str(x.type.shape) for x in inputs[:4])
            raise ShapeError("", "the inputs differ in their number of axes", received=received)
        return reduce(lambda a, b: make(self.op, a, b, origin=origin), inputs)


@dataclass(frozen=True, eq=False)
class Rescaling(Layer):
    """x * scale + offset; vectors run along the last axis."""

    scale: Array
    offset: Array

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        scale, offset = (ops.constant(value, origin) for value in (self.scale, self.offset))
        scaled = make(ops.Multiply(), *inputs, scale, origin=origin)
        return make(ops.Add(), scaled, offset, origin=origin)


register("Add", lambda fields: Merge(ops.Add()), "any number of inputs of one rank")
register("Multiply", lambda fields: Merge(ops.Multiply()), "any number of inputs of one rank")
register(
    "Rescaling",
    lambda fields: Rescaling(fields.numbers("scale"), fields.numbers("offset", 0.0)),
    "numbers, or vectors along the last axis",
)
