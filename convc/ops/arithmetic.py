"""Arithmetic on two tensors that broadcast as in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convc.errors import ShapeError
from convc.ir import Array, DType, Elementwise, Shape, TensorType
from convc.ops.check import check_dtypes


def broadcast_shape(inputs: Sequence[TensorType]) -> Shape:
    """The shape to which all inputs broadcast. Raises `ShapeError`."""
    try:
        return np.broadcast_shapes(*(type_.shape for type_ in inputs))
    except ValueError:
        received = " and ".join(str(type_.shape) for type_ in inputs)
        raise ShapeError("", "the inputs do not broadcast", expected="equal sizes, or 1", received=received) from None


class Binary(Elementwise):
    """An elementwise function of two tensors of one dtype, broadcast as in NumPy."""

    arity: ClassVar = (2, 2)

    def infer(self, *inputs: TensorType) -> TensorType:
        shape = broadcast_shape(inputs)
        check_dtypes(inputs)
        return TensorType(shape, inputs[0].dtype)


class Real(Binary):
    """A function of two floating point tensors; infinite or NaN where the real function has no value."""

    def infer(self, *inputs: TensorType) -> TensorType:
        result = super().infer(*inputs)
        if result.dtype is not DType.FLOAT32:
            received = result.dtype.value
            raise ShapeError("", "the inputs have no floating point", expected=DType.FLOAT32.value, received=received)
        return result

    def reference(self, *inputs: Array) -> Array:
        with np.errstate(all="ignore"):
            return self.value(*inputs)

    def value(self, a: Array, b: Array) -> Array:
        """The function's values."""
        raise NotImplementedError


@dataclass(frozen=True)
class Add(Binary):
    """a + b."""

    def reference(self, *inputs: Array) -> Array:
        return inputs[0] + inputs[1]


@dataclass(frozen=True)
class Subtract(Binary):
    """a - b."""

    def reference(self, *inputs: Array) -> Array:
        return inputs[0] - inputs[1]


@dataclass(frozen=True)
class Multiply(Binary):
    """a * b."""

    def reference(self, *inputs: Array) -> Array:
        return inputs[0] * inputs[1]


@dataclass(frozen=True)
class Divide(Real):
    """a / b."""

    def value(self, a: Array, b: Array) -> Array:
        result: Array = a / b
        return result


@dataclass(frozen=True)
class Maximum(Binary):
    """The larger of a and b."""

    def reference(self, *inputs: Array) -> Array:
        return np.maximum(*inputs)


@dataclass(frozen=True)
class Minimum(Binary):
    """The smaller of a and b."""

    def reference(self, *inputs: Array) -> Array:
        return np.minimum(*inputs)


@dataclass(frozen=True)
class Power(Real):
    """a to the b: 1 where b is 0, NaN where a is negative and b no integer."""

    reads: ClassVar = 3554

    def value(self, a: Array, b: Array) -> Array:
        return np.power(a, b)


@dataclass(frozen=True)
class FloorDivide(Real):
    """The largest integer that is not above a / b; exact where that is below 2**29, as for Mod and Fmod."""

    def value(self, a: Array, b: Array) -> Array:
        return np.floor_divide(a, b)


@dataclass(frozen=True)
class Mod(Real):
    """What is left of a when it is divided by b, with b's sign, as % of Python."""

    reads: ClassVar = 23

    def value(self, a: Array, b: Array) -> Array:
        return np.mod(a, b)


@dataclass(frozen=True)
class Fmod(Real):
    """What is left of a when it is divided by b, with a's sign, as % of C."""

    reads: ClassVar = 7

    def value(self, a: Array, b: Array) -> Array:
        return np.fmod(a, b)


@dataclass(frozen=True)
class Atan2(Real):
    """The angle of the point (b, a) in [-pi, pi]."""

    reads: ClassVar = 2526

    def value(self, a: Array, b: Array) -> Array:
        return np.arctan2(a, b)
