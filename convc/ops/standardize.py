"""Standardisation by statistics of the input itself: the core of layer, group and RMS normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convc.errors import ShapeError
from convc.ir import Array, Op, Shape, TensorType
from convc.ops.reduce import check_axes


@dataclass(frozen=True)
class Standardize(Op):
    """(x - mean) / sqrt(variance + epsilon), mean and variance over `axes` (not negative).

    Where not `centered`, the mean is taken for zero: x / sqrt(mean(x^2) + epsilon). With several `groups` the last of
    all axes, which must be one of `axes`, is cut into as many equal parts with statistics of their own.
    """

    axes: Shape
    epsilon: float
    centered: bool = True
    groups: int = 1
    arity: ClassVar = (1, 1)

    def infer(self, *inputs: TensorType) -> TensorType:
        x = inputs[0]
        check_axes(self.axes, x)
        if self.groups != 1 and (x.rank - 1 not in self.axes or self.groups < 1 or x.shape[-1] % self.groups):
            raise ShapeError(
                "",
                "the groups do not fit the input",
                expected="a divisor of the last axis, which is normalised",
                received=f"{self.groups} groups of {x.shape}",
            )
        return x

    def reference(self, *inputs: Array) -> Array:
        x = inputs[0].reshape(*inputs[0].shape[:-1], self.groups, inputs[0].shape[-1] // self.groups)
        last = inputs[0].ndim - 1
        axes = tuple(axis + 1 if axis == last else axis for axis in self.axes)
        if self.centered:
            x = x - np.mean(x, axis=axes, keepdims=True)
        variance = np.mean(x * x, axis=axes, keepdims=True)
        result: Array = x / np.sqrt(variance + x.dtype.type(self.epsilon))
        return result.reshape(inputs[0].shape)

    def flops(self, output: TensorType, *inputs: TensorType) -> int:
        return 6 * output.elements
