"""A tensor repeated along its axes of one element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convc.errors import ShapeError
from convc.ir import Array, Op, Shape, TensorType


@dataclass(frozen=True)
class Broadcast(Op):
    """x under NumPy's rule: axes are added in front, and those of one element repeated, until it has `shape`."""

    shape: Shape
    arity: ClassVar = (1, 1)

    def infer(self, *inputs: TensorType) -> TensorType:
        x = inputs[0]
        tail = self.shape[len(self.shape) - x.rank :] if x.rank <= len(self.shape) else ()
        if len(tail) != x.rank or any(a not in (1, b) for a, b in zip(x.shape, tail, strict=True)):
            raise ShapeError(
                "",
                "the input cannot be repeated to the shape",
                expected=f"{self.shape}, with sizes of 1 where it differs",
                received=str(x.shape),
            )
        return TensorType(self.shape, x.dtype)

    def reference(self, *inputs: Array) -> Array:
        return np.broadcast_to(inputs[0], self.shape)

    def flops(self, output: TensorType, *inputs: TensorType) -> int:
        return 0
