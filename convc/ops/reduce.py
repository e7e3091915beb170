"""Reductions over whole axes: sums, means, extremes, products; global pooling is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convc.errors import ShapeError
from convc.ir import Array, Op, Shape, TensorType


@dataclass(frozen=True)
class Reduce(Op):
    """Base of the reductions over `axes` (not negative); they stay as 1 where `keepdims`."""

    axes: Shape
    keepdims: bool = False
    arity: ClassVar = (1, 1)

    def infer(self, *inputs: TensorType) -> TensorType:
        x = inputs[0]
        check_axes(self.axes, x)
        kept = [1 if axis in self.axes else extent for axis, extent in enumerate(x.shape)]
        if self.keepdims:
            return TensorType(tuple(kept), x.dtype)
        return TensorType(tuple(e for axis, e in enumerate(kept) if axis not in self.axes), x.dtype)

    def flops(self, output: TensorType, *inputs: TensorType) -> int:
        return inputs[0].elements


@dataclass(frozen=True)
class ReduceMean(Reduce):
    """The mean; over the spatial axes it is global average pooling."""

    def reference(self, *inputs: Array) -> Array:
        result: Array = np.mean(inputs[0], axis=self.axes, keepdims=self.keepdims)
        return result


@dataclass(frozen=True)
class ReduceMax(Reduce):
    """The largest element; over the spatial axes it is global max pooling."""

    def reference(self, *inputs: Array) -> Array:
        result: Array = np.max(inputs[0], axis=self.axes, keepdims=self.keepdims)
        return result


@dataclass(frozen=True)
class ReduceSum(Reduce):
    """The sum."""

    def reference(self, *inputs: Array) -> Array:
        result: Array = np.sum(inputs[0], axis=self.axes, keepdims=self.keepdims)
        return result


@dataclass(frozen=True)
class ReduceMin(Reduce):
    """The smallest element."""

    def reference(self, *inputs: Array) -> Array:
        result: Array = np.min(inputs[0], axis=self.axes, keepdims=self.keepdims)
        return result


@dataclass(frozen=True)
class ReduceProd(Reduce):
    """The product."""

    def reference(self, *inputs: Array) -> Array:
        result: Array = np.prod(inputs[0], axis=self.axes, keepdims=self.keepdims)
        return result


def check_axes(axes: Shape, x: TensorType) -> None:
    """Raises `ShapeError` where `axes` are not one or more different axes of `x`, counted from the front."""
    if not axes or len(set(axes)) < len(axes) or not all(0 <= axis < x.rank for axis in axes):
        raise ShapeError(
            "", "axes do not fit the input", expected=f"distinct axes from 0 to {x.rank - 1}", received=str(axes)
        )
