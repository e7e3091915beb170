"""Dot: the product of two tensors over one axis of each, batch by batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convc import ops
from convc.errors import ModelError, ShapeError
from convc.frontends.keras.config import Fields, axis_in
from convc.frontends.keras.matmul import product, reshaped
from convc.frontends.keras.registry import Layer, register
from convc.ir import Node, Origin, make

EPSILON = 1e-7
"""Keras's `backend.epsilon()`: shorter vectors are not made longer than their length divided by it."""


@dataclass(frozen=True)
class Dot(Layer):
    """The sum over axis `axes[0]` of the first tensor and `axes[1]` of the second, which may count from the end.

    What is left of the first comes first; two matrices give a column. `normalize`: the vectors have length 1 before.
    """

    axes: tuple[int, int]
    normalize: bool
    arity: ClassVar[tuple[int, int | None]] = (2, 2)

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        if any(x.type.rank < 2 for x in inputs):
            received = " and ".join(str(x.type.shape) for x in inputs)
            raise ShapeError("", "the inputs have no axis to sum over", expected="2 axes or more", received=received)
        axes = [axis_in(axis, x.type.rank) for axis, x in zip(self.axes, inputs, strict=True)]
        if 0 in axes:
            raise ModelError("", "'axes' is wrong", expected="no batch axis", received=str(self.axes))
        a, b = (_unit(x, axis, origin) if self.normalize else x for x, axis in zip(inputs, axes, strict=True))
        for axis in (0, None):
            sizes = [x.type.shape[own if axis is None else axis] for x, own in zip((a, b), axes, strict=True)]
            if sizes[0] != sizes[1]:
                received = f"{a.type.shape} and {b.type.shape}"
                raise ShapeError("", f"the inputs do not fit over the axes {self.axes}", received=received)
        left = list(range(a.type.rank))
        right = [0, *range(a.type.rank, a.type.rank + b.type.rank - 1)]
        right[axes[1]] = axes[0]
        out = [label for label in (*left, *right[1:]) if label != axes[0]]
        y = product(a, b, left, right, out, origin)
        return reshaped(y, (*y.type.shape, 1), origin) if y.type.rank == 1 else y


def _unit(x: Node, axis: int, origin: Origin) -> Node:
    """x divided by its length along `axis`."""
    squares = make(ops.ReduceSum((axis,), keepdims=True), make(ops.Square(), x, origin=origin), origin=origin)
    longest = ops.constant(np.full(1, 1 / EPSILON), origin)
    inverse = make(ops.Minimum(), make(ops.Rsqrt(), squares, origin=origin), longest, origin=origin)
    return make(ops.Multiply(), x, inverse, origin=origin)


def _dot(fields: Fields) -> Layer:
    axes = fields.integers("axes", 2, minimum=None)
    return Dot((axes[0], axes[1]), fields.flag("normalize", False))


register("Dot", _dot, "one axis, or one of each input; normalize")
