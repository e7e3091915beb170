"""Products of two tensors that are both computed, summed over the axes that they share."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from convc.errors import ShapeError
from convc.ir import Array, DType, Op, Shape, TensorType
from convc.ops.check import check_dtypes


@dataclass(frozen=True)
class MatMul(Op):
    """The sum of left * right over the labels that `out` lacks: an einsum whose labels are numbers.

    `left`, `right` and `out` have a label for each axis; equal labels mean equal sizes. A label of `out` in both
    operands is a batch axis, one that `out` lacks is in both. The last label of `out` is in `right`, so that vectors
    run along `right`. (B, T, N, H) by (B, S, N, H) to (B, N, T, S) is left = (0, 2, 1, 4), right = (0, 3, 1, 4),
    out = (0, 1, 2, 3), without a transpose.
    """

    left: Shape
    right: Shape
    out: Shape
    arity: ClassVar = (2, 2)

    @property
    def summed(self) -> Shape:
        """The labels that the sum runs over, in their order in `left`."""
        return tuple(label for label in self.left if label not in self.out)

    def infer(self, *inputs: TensorType) -> TensorType:
        check_dtypes(inputs)
        if inputs[0].dtype is not DType.FLOAT32:
            expected, received = DType.FLOAT32.value, inputs[0].dtype.value
            raise ShapeError("", "the operands' dtype is not supported", expected=expected, received=received)
        self._check_labels()
        sizes: dict[int, int] = {}
        for labels, x, name in zip((self.left, self.right), inputs, ("left", "right"), strict=True):
            if len(labels) != x.rank:
                expected, received = f"{len(labels)} axes", str(x.shape)
                raise ShapeError("", f"the {name} operand does not fit", expected=expected, received=received)
            for label, extent in zip(labels, x.shape, strict=True):
                if sizes.setdefault(label, extent) != extent:
                    received = " and ".join(str(operand.shape) for operand in inputs)
                    raise ShapeError("", "the operands differ in an axis that they share", received=received)
        return TensorType(tuple(sizes[label] for label in self.out), inputs[0].dtype)

    def _check_labels(self) -> None:
        left, right, out = set(self.left), set(self.right), set(self.out)
        distinct = all(len(set(labels)) == len(labels) for labels in (self.left, self.right, self.out))
        if not distinct or not out <= left | right or left - out != right - out:
            expected = "distinct labels, each in the output or in both operands"
            raise ShapeError("", "the labels make no sense", expected=expected, received=str(self))
        if not self.out or self.out[-1] not in right:
            raise ShapeError(
                "", "the labels make no sense", expected="the last of 'out' in 'right'", received=str(self)
            )

    def reference(self, *inputs: Array) -> Array:
        a, b = inputs
        result: Array = np.einsum(a, list(self.left), b, list(self.right), list(self.out))
        return result

    def flops(self, output: TensorType, *inputs: TensorType) -> int:
        sizes = dict(zip(self.left, inputs[0].shape, strict=True))
        return 2 * output.elements * prod(sizes[label] for label in self.summed)
