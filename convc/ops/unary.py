"""Mathematical functions of one argument."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convc.errors import ShapeError
from convc.ir import Array, DType, Elementwise, TensorType


class Unary(Elementwise):
    """An elementwise function of one tensor."""

    arity: ClassVar = (1, 1)

    def infer(self, *inputs: TensorType) -> TensorType:
        return inputs[0]


class Function(Unary):
    """A mathematical function of one floating point tensor; infinite or NaN where the real function has no value."""

    def infer(self, *inputs: TensorType) -> TensorType:
        if inputs[0].dtype is not DType.FLOAT32:
            received = inputs[0].dtype.value
            raise ShapeError("", "the input has no floating point", expected=DType.FLOAT32.value, received=received)
        return inputs[0]

    def reference(self, *inputs: Array) -> Array:
        with np.errstate(all="ignore"):
            return self.value(inputs[0])

    def value(self, x: Array) -> Array:
        """The function's values."""
        raise NotImplementedError


@dataclass(frozen=True)
class Exp(Function):
    """e to the x, "exponential" in Keras."""

    reads: ClassVar = 27

    def value(self, x: Array) -> Array:
        return np.exp(x)


@dataclass(frozen=True)
class Expm1(Function):
    """exp(x) - 1, without cancellation."""

    reads: ClassVar = 36

    def value(self, x: Array) -> Array:
        return np.expm1(x)


@dataclass(frozen=True)
class Log(Function):
    """The natural logarithm."""

    reads: ClassVar = 120

    def value(self, x: Array) -> Array:
        return np.log(x)


@dataclass(frozen=True)
class Log1p(Function):
    """log(1 + x), without cancellation."""

    reads: ClassVar = 78

    def value(self, x: Array) -> Array:
        return np.log1p(x)


@dataclass(frozen=True)
class Sqrt(Function):
    """The square root."""

    def value(self, x: Array) -> Array:
        return np.sqrt(x)


@dataclass(frozen=True)
class Rsqrt(Function):
    """1 / sqrt(x)."""

    def value(self, x: Array) -> Array:
        return 1 / np.sqrt(x)


@dataclass(frozen=True)
class Cbrt(Function):
    """The cube root, of negative numbers too."""

    reads: ClassVar = 1163

    def value(self, x: Array) -> Array:
        return np.cbrt(x)


@dataclass(frozen=True)
class Reciprocal(Function):
    """1 / x."""

    def value(self, x: Array) -> Array:
        return 1 / x


@dataclass(frozen=True)
class Square(Function):
    """x * x."""

    reads: ClassVar = 2

    def value(self, x: Array) -> Array:
        return x * x


@dataclass(frozen=True)
class IntegerPower(Function):
    """x to a constant integer."""

    reads: ClassVar = 7
    exponent: int

    def value(self, x: Array) -> Array:
        result: Array = x ** x.dtype.type(self.exponent)
        return result


@dataclass(frozen=True)
class Abs(Function):
    """The absolute value."""

    def value(self, x: Array) -> Array:
        return np.abs(x)


@dataclass(frozen=True)
class Sign(Function):
    """-1 below zero, 0 at it, 1 above."""

    reads: ClassVar = 3

    def value(self, x: Array) -> Array:
        return np.sign(x)


@dataclass(frozen=True)
class Floor(Function):
    """The largest integer that is not above x."""

    def value(self, x: Array) -> Array:
        return np.floor(x)


@dataclass(frozen=True)
class Ceil(Function):
    """The smallest integer that is not below x."""

    def value(self, x: Array) -> Array:
        return np.ceil(x)


@dataclass(frozen=True)
class Trunc(Function):
    """The next integer towards zero."""

    def value(self, x: Array) -> Array:
        return np.trunc(x)


@dataclass(frozen=True)
class Round(Function):
    """The nearest integer, the even one of two that are equally near."""

    reads: ClassVar = 8

    def value(self, x: Array) -> Array:
        return np.rint(x)


@dataclass(frozen=True)
class Clip(Function):
    """x limited to [low, high]; `high` where that is below `low`."""

    low: float
    high: float

    def value(self, x: Array) -> Array:
        result: Array = np.minimum(np.maximum(x, x.dtype.type(self.low)), x.dtype.type(self.high))
        return result


@dataclass(frozen=True)
class Sin(Function):
    """The sine of radians; the error grows above |x| = 1e8, and above 1e15 nothing is left."""

    reads: ClassVar = 128

    def value(self, x: Array) -> Array:
        return np.sin(x)


@dataclass(frozen=True)
class Cos(Function):
    """The cosine, of what Sin takes."""

    reads: ClassVar = 128

    def value(self, x: Array) -> Array:
        return np.cos(x)


@dataclass(frozen=True)
class Tan(Function):
    """The tangent, of what Sin takes."""

    reads: ClassVar = 124

    def value(self, x: Array) -> Array:
        return np.tan(x)


@dataclass(frozen=True)
class Asin(Function):
    """The inverse of the sine, in [-pi/2, pi/2]."""

    reads: ClassVar = 110

    def value(self, x: Array) -> Array:
        return np.arcsin(x)


@dataclass(frozen=True)
class Acos(Function):
    """The inverse of the cosine, in [0, pi]."""

    reads: ClassVar = 182

    def value(self, x: Array) -> Array:
        return np.arccos(x)


@dataclass(frozen=True)
class Atan(Function):
    """The inverse of the tangent, in [-pi/2, pi/2]."""

    reads: ClassVar = 63

    def value(self, x: Array) -> Array:
        return np.arctan(x)


@dataclass(frozen=True)
class Sinh(Function):
    """(exp(x) - exp(-x)) / 2; infinite from |x| = 88.73 on, where exp is."""

    reads: ClassVar = 69

    def value(self, x: Array) -> Array:
        return np.sinh(x)


@dataclass(frozen=True)
class Cosh(Function):
    """(exp(x) + exp(-x)) / 2; infinite from |x| = 88.73 on, where exp is."""

    reads: ClassVar = 54

    def value(self, x: Array) -> Array:
        return np.cosh(x)


@dataclass(frozen=True)
class Asinh(Function):
    """The inverse of the hyperbolic sine."""

    reads: ClassVar = 548

    def value(self, x: Array) -> Array:
        return np.arcsinh(x)


@dataclass(frozen=True)
class Acosh(Function):
    """The inverse of the hyperbolic cosine, not negative."""

    reads: ClassVar = 469

    def value(self, x: Array) -> Array:
        return np.arccosh(x)


@dataclass(frozen=True)
class Atanh(Function):
    """The inverse of the hyperbolic tangent."""

    reads: ClassVar = 235

    def value(self, x: Array) -> Array:
        return np.arctanh(x)


@dataclass(frozen=True)
class Erf(Function):
    """The error function, 2 / sqrt(pi) times the integral of exp(-t * t) from 0 to x."""

    reads: ClassVar = 21

    def value(self, x: Array) -> Array:
        result: Array = np.vectorize(math.erf, otypes=[x.dtype])(x)
        return result


@dataclass(frozen=True)
class Erfc(Function):
    """1 - erf(x), without cancellation."""

    reads: ClassVar = 327

    def value(self, x: Array) -> Array:
        result: Array = np.vectorize(math.erfc, otypes=[x.dtype])(x)
        return result


@dataclass(frozen=True)
class Erfinv(Function):
    """The inverse of the error function, by four steps of Newton from Winitzki's approximation."""

    reads: ClassVar = 4083

    def value(self, x: Array) -> Array:
        p, a = np.abs(x), 0.147
        logarithm = np.log1p(-p * p)
        b = 2 / (math.pi * a) + logarithm / 2
        y = np.sqrt(np.sqrt(b * b - logarithm / a) - b)
        for _ in range(4):
            y = y + (Erfc().value(y) - (1 - p)) * (math.sqrt(math.pi) / 2) * np.exp(y * y)
        return np.where(p == 1, x * np.inf, np.sign(x) * y)
