"""Conversion between integers and floating point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convc.ir import Array, DType, TensorType
from convc.ops.activation import Unary

INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1


@dataclass(frozen=True)
class Cast(Unary):
    """x in another element type. Fractions are cut off towards zero; what no INT32 can hold becomes the nearest that
    there is, and NaN 0, as XLA does it."""

    dtype: DType

    def infer(self, *inputs: TensorType) -> TensorType:
        return TensorType(inputs[0].shape, self.dtype)

    def reference(self, *inputs: Array) -> Array:
        x = inputs[0]
        if self.dtype is DType.FLOAT32:
            return x if np.issubdtype(x.dtype, np.floating) else x.astype(np.float64)
        if np.issubdtype(x.dtype, np.integer):
            return x
        limited = np.clip(np.trunc(x.astype(np.float64)), INT32_MIN, INT32_MAX)
        return np.where(np.isnan(limited), 0, limited).astype(np.int32)
