"""Concatenation along one axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convc.errors import ShapeError
from convc.ir import Array, Op, TensorType


@dataclass(frozen=True)
class Concat(Op):
    """Inputs side by side along `axis` (0 is the batch; not negative)."""

    axis: int
    arity: ClassVar = (1, None)

    def infer(self, *inputs: TensorType) -> TensorType:
        first = inputs[0]
        if not 0 <= self.axis < first.rank:
            raise ShapeError(
                "", "axis is outside the input", expected=f"0 to {first.rank - 1}", received=str(self.axis)
            )
        for other in inputs[1:]:
            same = [i == self.axis or a == b for i, (a, b) in enumerate(zip(first.shape, other.shape, strict=False))]
            if other.rank != first.rank or other.dtype != first.dtype or not all(same):
                raise ShapeError(
                    "",
                    "the inputs do not fit together",
                    expected=f"{first} but for axis {self.axis}",
                    received=str(other),
                )
        shape = list(first.shape)
        shape[self.axis] = sum(type_.shape[self.axis] for type_ in inputs)
        return TensorType(tuple(shape), first.dtype)

    def reference(self, *inputs: Array) -> Array:
        return np.concatenate(inputs, self.axis)

    def flops(self, output: TensorType, *inputs: TensorType) -> int:
        return 0
