"""Comparisons, which give 1.0 for true and 0.0 for false, and choices by them.

Of truth values so written, Multiply is "and", Maximum "or", NotEqual "either, but not both", and 0 equals "not".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convc.errors import ShapeError
from convc.ir import Array, DType, Elementwise, TensorType
from convc.ops.arithmetic import Binary, broadcast_shape
from convc.ops.check import check_dtypes


class Comparison(Binary):
    """A relation of two tensors of one dtype."""

    def infer(self, *inputs: TensorType) -> TensorType:
        return TensorType(super().infer(*inputs).shape, DType.FLOAT32)

    def reference(self, *inputs: Array) -> Array:
        dtype = inputs[0].dtype
        return self.holds(*inputs).astype(dtype if np.issubdtype(dtype, np.floating) else np.float64)

    def holds(self, a: Array, b: Array) -> Array:
        """Where the relation holds."""
        raise NotImplementedError


@dataclass(frozen=True)
class Greater(Comparison):
    """a > b."""

    def holds(self, a: Array, b: Array) -> Array:
        result: Array = a > b
        return result


@dataclass(frozen=True)
class GreaterEqual(Comparison):
    """a >= b."""

    def holds(self, a: Array, b: Array) -> Array:
        result: Array = a >= b
        return result


@dataclass(frozen=True)
class Equal(Comparison):
    """a == b."""

    def holds(self, a: Array, b: Array) -> Array:
        result: Array = a == b
        return result


@dataclass(frozen=True)
class NotEqual(Comparison):
    """a != b."""

    def holds(self, a: Array, b: Array) -> Array:
        result: Array = a != b
        return result


@dataclass(frozen=True)
class Where(Elementwise):
    """The second input where the first is not zero, the third elsewhere; all three broadcast."""

    arity: ClassVar = (3, 3)

    def infer(self, *inputs: TensorType) -> TensorType:
        shape = broadcast_shape(inputs)
        check_dtypes(inputs[1:])
        if inputs[0].dtype is not DType.FLOAT32:
            received = inputs[0].dtype.value
            raise ShapeError("", "the condition is wrong", expected=DType.FLOAT32.value, received=received)
        return TensorType(shape, inputs[1].dtype)

    def reference(self, *inputs: Array) -> Array:
        condition, a, b = inputs
        return np.where(condition != 0, a, b)
