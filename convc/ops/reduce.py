"""Reductions over whole axes: global pooling and its relatives."""

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
        if not self.axes or len(set(self.axes)) < len(self.axes) or not all(0 <= axis < x.rank for axis in self.axes):
            raise ShapeError(
                "",
                "axes do not fit the input",
                expected=f"distinct axes from 0 to {x.rank - 1}",
                received=str(self.axes),
            )
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
