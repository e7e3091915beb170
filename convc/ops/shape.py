"""Ops that move or rename elements: Reshape (Flatten is one) and Transpose."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from convc.errors import ShapeError
from convc.ir import Array, Op, Shape, TensorType


@dataclass(frozen=True)
class Reshape(Op):
    """The same elements in row-major order under another shape (static, batch included, no -1)."""

    shape: Shape
    arity: ClassVar = (1, 1)

    def infer(self, *inputs: TensorType) -> TensorType:
        if math.prod(self.shape) != inputs[0].elements:
            raise ShapeError(
                "",
                "the shapes differ in their number of elements",
                expected=f"{inputs[0].elements} as in {inputs[0].shape}",
                received=f"{math.prod(self.shape)} in {self.shape}",
            )
        return TensorType(self.shape, inputs[0].dtype)

    def reference(self, *inputs: Array) -> Array:
        return inputs[0].reshape(self.shape)

    def flops(self, output: TensorType, *inputs: TensorType) -> int:
        return 0


@dataclass(frozen=True)
class Transpose(Op):
    """Axes in another order: output axis i is input axis permutation[i]."""

    permutation: Shape
    arity: ClassVar = (1, 1)

    def infer(self, *inputs: TensorType) -> TensorType:
        x = inputs[0]
        if sorted(self.permutation) != list(range(x.rank)):
            raise ShapeError(
                "",
                "not a permutation of the axes",
                expected=f"0 to {x.rank - 1} once each",
                received=str(self.permutation),
            )
        return TensorType(tuple(x.shape[axis] for axis in self.permutation), x.dtype)

    def reference(self, *inputs: Array) -> Array:
        result: Array = inputs[0].transpose(self.permutation)
        return result

    def flops(self, output: TensorType, *inputs: TensorType) -> int:
        return 0
