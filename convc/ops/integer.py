"""Arithmetic and logic on integers of 32 bits, in two's complement and without a trap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convc.errors import ShapeError
from convc.ir import Array, DType, TensorType
from convc.ops.arithmetic import Binary


class Integer(Binary):
    """A function of two INT32 tensors.

    Every pair of integers has a value, that of jax.numpy or jax.lax: division never traps.
    """

    def infer(self, *inputs: TensorType) -> TensorType:
        result = super().infer(*inputs)
        if result.dtype is not DType.INT32:
            received = result.dtype.value
            raise ShapeError("", "the inputs are no integers", expected=DType.INT32.value, received=received)
        return result

    def reference(self, *inputs: Array) -> Array:
        wide = (value.astype(np.int64) for value in inputs)
        return self.value(*wide).astype(np.int32)

    def value(self, a: Array, b: Array) -> Array:
        """The function's values; inputs and result are int64, of which the low 32 bits count."""
        raise NotImplementedError


@dataclass(frozen=True)
class Quotient(Integer):
    """a / b without its fraction; -1 where b is 0."""

    def value(self, a: Array, b: Array) -> Array:
        safe = np.where(b == 0, 1, b)
        result: Array = np.where(b == 0, -1, (a - np.fmod(a, safe)) // safe)
        return result


@dataclass(frozen=True)
class Remainder(Integer):
    """What is left of a, with its sign, as % of C; a itself where b is 0."""

    def value(self, a: Array, b: Array) -> Array:
        return np.where(b == 0, a, np.fmod(a, np.where(b == 0, 1, b)))


@dataclass(frozen=True)
class Modulo(Integer):
    """What is left of a, with the sign of b, as % of Python; 0 where b is 0."""

    def value(self, a: Array, b: Array) -> Array:
        return np.where(b == 0, 0, np.mod(a, np.where(b == 0, 1, b)))


@dataclass(frozen=True)
class BitAnd(Integer):
    """Each bit that both have."""

    def value(self, a: Array, b: Array) -> Array:
        return np.bitwise_and(a, b)


@dataclass(frozen=True)
class BitOr(Integer):
    """Each bit that one of them has."""

    def value(self, a: Array, b: Array) -> Array:
        return np.bitwise_or(a, b)


@dataclass(frozen=True)
class BitXor(Integer):
    """Each bit that only one of them has."""

    def value(self, a: Array, b: Array) -> Array:
        return np.bitwise_xor(a, b)


@dataclass(frozen=True)
class ShiftLeft(Integer):
    """a's bits b places up; 0 where b is not from 0 to 31."""

    def value(self, a: Array, b: Array) -> Array:
        return np.where((b < 0) | (b > 31), 0, np.left_shift(a, np.clip(b, 0, 31)))


@dataclass(frozen=True)
class ShiftRight(Integer):
    """a's bits b places down, with copies of its sign above; nothing but these where b is not from 0 to 31."""

    def value(self, a: Array, b: Array) -> Array:
        return np.right_shift(a, np.where((b < 0) | (b > 31), 31, b))
