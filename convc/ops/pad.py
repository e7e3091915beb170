"""Padding with a constant on any axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convc.errors import ShapeError
from convc.ir import Array, Op, TensorType
from convc.ops.window import Padding


@dataclass(frozen=True)
class Pad(Op):
    """`value` around x: `widths` has (low, high) for every axis, the batch and channels included; not negative."""

    widths: Padding
    value: float = 0.0
    arity: ClassVar = (1, 1)

    def infer(self, *inputs: TensorType) -> TensorType:
        x = inputs[0]
        if len(self.widths) != x.rank:
            raise ShapeError("", "widths do not fit the input", expected=f"{x.rank} pairs", received=str(self.widths))
        if any(width < 0 for pair in self.widths for width in pair):
            raise ShapeError("", "widths must not be negative", expected="0 or more", received=str(self.widths))
        return TensorType(tuple(low + e + high for e, (low, high) in zip(x.shape, self.widths, strict=True)), x.dtype)

    def reference(self, *inputs: Array) -> Array:
        return np.pad(inputs[0], self.widths, constant_values=self.value)

    def flops(self, output: TensorType, *inputs: TensorType) -> int:
        return 0
