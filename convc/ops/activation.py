"""Activations of neural networks. Formulas are those of keras.activations unless a docstring says otherwise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convc.ir import Array
from convc.ops.arithmetic import Binary
from convc.ops.unary import Function, Unary

__all__ = [
    "Celu", "Elu", "Gelu", "HardShrink", "HardSigmoid", "HardSilu", "LogSigmoid", "Mish", "PRelu", "Relu", "Selu",
    "Sigmoid", "Silu", "SoftShrink", "Softplus", "Softsign", "SparsePlus", "Squareplus", "Tanh", "TanhShrink",
    "Threshold", "Unary",
]  # fmt: skip


@dataclass(frozen=True)
class Relu(Function):
    """max_value above max_value, x above threshold, negative_slope * (x - threshold) up to it."""

    reads: ClassVar = 3
    max_value: float | None = None
    negative_slope: float = 0.0
    threshold: float = 0.0

    def value(self, x: Array) -> Array:
        y = np.where(x > self.threshold, x, self.negative_slope * (x - self.threshold))
        return y if self.max_value is None else np.minimum(y, x.dtype.type(self.max_value))


@dataclass(frozen=True)
class Sigmoid(Function):
    """1 / (1 + exp(-x))."""

    reads: ClassVar = 25

    def value(self, x: Array) -> Array:
        e = np.exp(-np.abs(x))
        result: Array = np.where(x >= 0, 1 / (1 + e), e / (1 + e))
        return result


@dataclass(frozen=True)
class HardSigmoid(Function):
    """clip(slope * x + offset, 0, 1): Keras 3 has 1/6 and 0.5, Keras 2 and ONNX 0.2 and 0.5."""

    slope: float = 1 / 6
    offset: float = 0.5

    def value(self, x: Array) -> Array:
        return np.clip(self.slope * x + self.offset, 0, 1)


@dataclass(frozen=True)
class Silu(Function):
    """x * sigmoid(x), also called swish."""

    reads: ClassVar = 26

    def value(self, x: Array) -> Array:
        return x * Sigmoid().value(x)


@dataclass(frozen=True)
class HardSilu(Function):
    """x * relu6(x + 3) / 6, also called hard swish."""

    reads: ClassVar = 2

    def value(self, x: Array) -> Array:
        return x * HardSigmoid().value(x)


@dataclass(frozen=True)
class Tanh(Function):
    """Hyperbolic tangent."""

    reads: ClassVar = 114

    def value(self, x: Array) -> Array:
        return np.tanh(x)


@dataclass(frozen=True)
class Elu(Function):
    """x above zero, alpha * (exp(x) - 1) below."""

    reads: ClassVar = 36
    alpha: float = 1.0

    def value(self, x: Array) -> Array:
        return np.where(x > 0, x, self.alpha * np.expm1(np.minimum(x, 0)))


@dataclass(frozen=True)
class Selu(Function):
    """scale * elu(x, alpha) with the constants of Klambauer et al. 2017."""

    reads: ClassVar = 36
    ALPHA: ClassVar[float] = 1.6732632423543772
    SCALE: ClassVar[float] = 1.0507009873554805

    def value(self, x: Array) -> Array:
        return self.SCALE * Elu(self.ALPHA).value(x)


@dataclass(frozen=True)
class Gelu(Function):
    """x * Phi(x), by erf, or by tanh where `approximate`."""

    reads: ClassVar = 457
    approximate: bool = False

    def value(self, x: Array) -> Array:
        if self.approximate:
            phi: Array = 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
        else:
            phi = 0.5 * np.vectorize(math.erfc, otypes=[x.dtype])(-x / math.sqrt(2))
        return x * phi


@dataclass(frozen=True)
class Softplus(Function):
    """log(1 + exp(x)), without overflow."""

    reads: ClassVar = 851

    def value(self, x: Array) -> Array:
        return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


@dataclass(frozen=True)
class LogSigmoid(Function):
    """log(sigmoid(x)), which is -softplus(-x)."""

    reads: ClassVar = 851

    def value(self, x: Array) -> Array:
        return -Softplus().value(-x)


@dataclass(frozen=True)
class Softsign(Function):
    """x / (1 + |x|)."""

    reads: ClassVar = 2

    def value(self, x: Array) -> Array:
        result: Array = x / (1 + np.abs(x))
        return result


@dataclass(frozen=True)
class Mish(Function):
    """x * tanh(softplus(x))."""

    reads: ClassVar = 101

    def value(self, x: Array) -> Array:
        return x * np.tanh(Softplus().value(x))


@dataclass(frozen=True)
class Celu(Function):
    """x above zero, alpha * (exp(x / alpha) - 1) below."""

    reads: ClassVar = 36
    alpha: float = 1.0

    def value(self, x: Array) -> Array:
        return np.where(x > 0, x, self.alpha * np.expm1(np.minimum(x, 0) / self.alpha))


@dataclass(frozen=True)
class TanhShrink(Function):
    """x - tanh(x)."""

    reads: ClassVar = 115

    def value(self, x: Array) -> Array:
        return x - np.tanh(x)


@dataclass(frozen=True)
class SoftShrink(Function):
    """x - threshold above it, x + threshold below its negative, else 0."""

    reads: ClassVar = 4
    threshold: float = 0.5

    def value(self, x: Array) -> Array:
        low = np.where(x < -self.threshold, x + self.threshold, x.dtype.type(0))
        return np.where(x > self.threshold, x - self.threshold, low)


@dataclass(frozen=True)
class HardShrink(Function):
    """x where |x| is above the threshold, else 0."""

    reads: ClassVar = 2
    threshold: float = 0.5

    def value(self, x: Array) -> Array:
        return np.where(np.abs(x) > self.threshold, x, x.dtype.type(0))


@dataclass(frozen=True)
class Threshold(Function):
    """x above the threshold, else `otherwise`."""

    reads: ClassVar = 2
    threshold: float
    otherwise: float

    def value(self, x: Array) -> Array:
        return np.where(x > self.threshold, x, x.dtype.type(self.otherwise))


@dataclass(frozen=True)
class SparsePlus(Function):
    """0 up to -1, x from 1 on, (x + 1)**2 / 4 between."""

    reads: ClassVar = 4

    def value(self, x: Array) -> Array:
        return np.where(x < 1, np.maximum(x + 1, 0) ** 2 / 4, x)


@dataclass(frozen=True)
class Squareplus(Function):
    """(x + sqrt(x * x + b)) / 2."""

    reads: ClassVar = 7
    b: float = 4.0

    def value(self, x: Array) -> Array:
        root = np.sqrt(x * x + self.b)
        return np.where(x > 0, x + root, self.b / (root - np.minimum(x, 0))) / 2


@dataclass(frozen=True)
class PRelu(Binary):
    """x above zero, alpha * x below; alpha broadcasts to x."""

    reads: ClassVar = 2

    def reference(self, *inputs: Array) -> Array:
        x, alpha = inputs
        result: Array = np.where(x > 0, x, alpha * x)
        return result
