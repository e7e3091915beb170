"""Fully connected layers over the last axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from convc.errors import ShapeError
from convc.ir import Array, Op, TensorType
from convc.ops.check import check_dtypes


@dataclass(frozen=True)
class Dense(Op):
    """y[..., o] = sum_i x[..., i] * kernel[i, o] (+ bias[o]), at any rank.

    Inputs: x of ..., I; kernel of I, O; optionally a bias of O.
    """

    arity: ClassVar = (2, 3)

    def infer(self, *inputs: TensorType) -> TensorType:
        x, kernel = inputs[:2]
        check_dtypes(inputs)
        if x.rank < 1 or kernel.rank != 2 or x.shape[-1] != kernel.shape[0]:
            raise ShapeError(
                "",
                "the kernel does not fit the input's last axis",
                expected=f"a kernel of ({x.shape[-1] if x.rank else 'a last axis'}, units)",
                received=str(kernel.shape),
            )
        if len(inputs) == 3 and inputs[2].shape != kernel.shape[1:]:
            raise ShapeError("", "the bias does not fit", expected=str(kernel.shape[1:]), received=str(inputs[2].shape))
        return TensorType((*x.shape[:-1], kernel.shape[1]), x.dtype)

    def reference(self, *inputs: Array) -> Array:
        y: Array = inputs[0] @ inputs[1]
        return y + inputs[2] if len(inputs) == 3 else y

    def flops(self, output: TensorType, *inputs: TensorType) -> int:
        return output.elements * (2 * inputs[1].shape[0] + (len(inputs) == 3))
