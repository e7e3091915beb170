"""Arithmetic on two tensors that broadcast as in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convc.errors import ShapeError
from convc.ir import Array, Elementwise, TensorType
from convc.ops.check import check_dtypes


class Binary(Elementwise):
    """An elementwise function of two tensors of one dtype, broadcast as in NumPy."""

    arity: ClassVar = (2, 2)

    def infer(self, *inputs: TensorType) -> TensorType:
        a, b = inputs
        try:
            shape = np.broadcast_shapes(a.shape, b.shape)
        except ValueError:
            raise ShapeError(
                "", "the inputs do not broadcast", expected="equal sizes, or 1", received=f"{a.shape} and {b.shape}"
            ) from None
        check_dtypes(inputs)
        return TensorType(shape, a.dtype)


@dataclass(frozen=True)
class Add(Binary):
    """a + b."""

    def reference(self, *inputs: Array) -> Array:
        return inputs[0] + inputs[1]


@dataclass(frozen=True)
class Multiply(Binary):
    """a * b."""

    def reference(self, *inputs: Array) -> Array:
        return inputs[0] * inputs[1]
