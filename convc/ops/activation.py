"""Activations of one argument. Formulas are those of keras.activations unless a docstring says otherwise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convc.ir import Array, Elementwise, TensorType


class Unary(Elementwise):
    """An elementwise function of one tensor."""

    arity: ClassVar = (1, 1)

    def infer(self, *inputs: TensorType) -> TensorType:
        return inputs[0]


@dataclass(frozen=True)
class Relu(Unary):
    """max_value above max_value, x above threshold, negative_slope * (x - threshold) up to it."""

    max_value: float | None = None
    negative_slope: float = 0.0
    threshold: float = 0.0

    def reference(self, *inputs: Array) -> Array:
        x = inputs[0]
        y = np.where(x > self.threshold, x, self.negative_slope * (x - self.threshold))
        return y if self.max_value is None else np.minimum(y, x.dtype.type(self.max_value))


@dataclass(frozen=True)
class Sigmoid(Unary):
    """1 / (1 + exp(-x))."""

    def reference(self, *inputs: Array) -> Array:
        x = inputs[0]
        e = np.exp(-np.abs(x))
        result: Array = np.where(x >= 0, 1 / (1 + e), e / (1 + e))
        return result


@dataclass(frozen=True)
class HardSigmoid(Unary):
    """clip(slope * x + offset, 0, 1): Keras 3 has 1/6 and 0.5, Keras 2 and ONNX 0.2 and 0.5."""

    slope: float = 1 / 6
    offset: float = 0.5

    def reference(self, *inputs: Array) -> Array:
        return np.clip(self.slope * inputs[0] + self.offset, 0, 1)


@dataclass(frozen=True)
class Silu(Unary):
    """x * sigmoid(x), also called swish."""

    def reference(self, *inputs: Array) -> Array:
        return inputs[0] * Sigmoid().reference(inputs[0])


@dataclass(frozen=True)
class HardSilu(Unary):
    """x * relu6(x + 3) / 6, also called hard swish."""

    def reference(self, *inputs: Array) -> Array:
        return inputs[0] * HardSigmoid().reference(inputs[0])


@dataclass(frozen=True)
class Tanh(Unary):
    """Hyperbolic tangent."""

    def reference(self, *inputs: Array) -> Array:
        return np.tanh(inputs[0])


@dataclass(frozen=True)
class Exp(Unary):
    """e to the x, "exponential" in Keras."""

    def reference(self, *inputs: Array) -> Array:
        return np.exp(inputs[0])


@dataclass(frozen=True)
class Elu(Unary):
    """x above zero, alpha * (exp(x) - 1) below."""

    alpha: float = 1.0

    def reference(self, *inputs: Array) -> Array:
        x = inputs[0]
        return np.where(x > 0, x, self.alpha * np.expm1(np.minimum(x, 0)))


@dataclass(frozen=True)
class Selu(Unary):
    """scale * elu(x, alpha) with the constants of Klambauer et al. 2017."""

    ALPHA: ClassVar[float] = 1.6732632423543772
    SCALE: ClassVar[float] = 1.0507009873554805

    def reference(self, *inputs: Array) -> Array:
        return self.SCALE * Elu(self.ALPHA).reference(inputs[0])


@dataclass(frozen=True)
class Gelu(Unary):
    """x * Phi(x), by erf, or by tanh where `approximate`."""

    approximate: bool = False

    def reference(self, *inputs: Array) -> Array:
        x = inputs[0]
        if self.approximate:
            phi: Array = 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
        else:
            phi = 0.5 * np.vectorize(math.erfc, otypes=[x.dtype])(-x / math.sqrt(2))
        return x * phi


@dataclass(frozen=True)
class Softplus(Unary):
    """log(1 + exp(x)), without overflow."""

    def reference(self, *inputs: Array) -> Array:
        x = inputs[0]
        return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


@dataclass(frozen=True)
class Softsign(Unary):
    """x / (1 + |x|)."""

    def reference(self, *inputs: Array) -> Array:
        result: Array = inputs[0] / (1 + np.abs(inputs[0]))
        return result


@dataclass(frozen=True)
class Mish(Unary):
    """x * tanh(softplus(x))."""

    def reference(self, *inputs: Array) -> Array:
        return inputs[0] * np.tanh(Softplus().reference(inputs[0]))
