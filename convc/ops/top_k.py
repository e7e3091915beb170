"""The places of the largest elements along the last axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convc.errors import ShapeError
from convc.ir import Array, DType, Op, TensorType


@dataclass(frozen=True)
class TopK(Op):
    """Indices, INT32, of the `count` largest elements along the last axis, or of the least, in order.

    Of equal elements the first comes first. Where there is a NaN, indices may be any that the axis has.
    """

    count: int
    largest: bool = True
    arity: ClassVar = (1, 1)

    def infer(self, *inputs: TensorType) -> TensorType:
        (x,) = inputs
        if not x.rank or not 1 <= self.count <= x.shape[-1]:
            expected = f"1 to {x.shape[-1]}" if x.rank else "an axis"
            raise ShapeError("", "there are not as many elements", expected=expected, received=str(self.count))
        return TensorType((*x.shape[:-1], self.count), DType.INT32)

    def reference(self, *inputs: Array) -> Array:
        x = -inputs[0] if self.largest else inputs[0]
        return np.argsort(x, axis=-1, kind="stable")[..., : self.count].astype(np.int32)

    def flops(self, output: TensorType, *inputs: TensorType) -> int:
        return inputs[0].elements * (inputs[0].shape[-1] + self.count)
