"""Softmax and its logarithm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convc.errors import ShapeError
from convc.ir import Array, Op, Shape, TensorType


@dataclass(frozen=True)
class Softmax(Op):
    """exp(x - max) / sum over `axes` (not negative, one or several)."""

    axes: Shape
    arity: ClassVar = (1, 1)

    def infer(self, *inputs: TensorType) -> TensorType:
        x = inputs[0]
        if not self.axes or len(set(self.axes)) < len(self.axes) or not all(0 <= axis < x.rank for axis in self.axes):
            raise ShapeError(
                "",
                "axes do not fit the input",
                expected=f"distinct axes from 0 to {x.rank - 1}",
                received=str(self.axes),
            )
        return x

    def reference(self, *inputs: Array) -> Array:
        x = inputs[0]
        e = np.exp(x - np.max(x, axis=self.axes, keepdims=True))
        result: Array = e / np.sum(e, axis=self.axes, keepdims=True)
        return result

    def flops(self, output: TensorType, *inputs: TensorType) -> int:
        return 4 * output.elements


@dataclass(frozen=True)
class LogSoftmax(Softmax):
    """x - max - log(sum(exp(x - max))) over `axes`."""

    def reference(self, *inputs: Array) -> Array:
        shifted = inputs[0] - np.max(inputs[0], axis=self.axes, keepdims=True)
        result: Array = shifted - np.log(np.sum(np.exp(shifted), axis=self.axes, keepdims=True))
        return result
