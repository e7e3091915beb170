"""Batch normalisation with the statistics of training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convc.errors import ShapeError
from convc.ir import Array, Op, TensorType
from convc.ops.check import check_dtypes


@dataclass(frozen=True)
class BatchNorm(Op):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta over the last axis.

    Inputs: x of ..., C; gamma, beta, mean, variance of C each.
    """

    epsilon: float
    arity: ClassVar = (5, 5)

    def infer(self, *inputs: TensorType) -> TensorType:
        x = inputs[0]
        check_dtypes(inputs)
        for name, vector in zip(("gamma", "beta", "mean", "variance"), inputs[1:], strict=True):
            if vector.shape != x.shape[-1:]:
                raise ShapeError(
                    "", f"{name} does not fit the channels", expected=str(x.shape[-1:]), received=str(vector.shape)
                )
        return x

    def reference(self, *inputs: Array) -> Array:
        x, gamma, beta, mean, variance = inputs
        result: Array = (x - mean) / np.sqrt(variance + self.epsilon) * gamma + beta
        return result

    def flops(self, output: TensorType, *inputs: TensorType) -> int:
        return 2 * output.elements
