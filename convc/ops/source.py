"""Where tensors come from: graph inputs and constants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convc.ir import Array, DType, Node, Op, Origin, TensorType, make


@dataclass(frozen=True)
class Input(Op):
    """A graph input of a fixed type."""

    type: TensorType
    arity: ClassVar = (0, 0)

    def infer(self, *inputs: TensorType) -> TensorType:
        return self.type

    def reference(self, *inputs: Array) -> Array:
        raise AssertionError("an input has no definition; it is fed")

    def flops(self, output: TensorType, *inputs: TensorType) -> int:
        return 0


@dataclass(frozen=True)
class NarrowInput(Input):
    """Integers that wrap around in the source model before INT32 does: what computes with them is not what it says."""


@dataclass(frozen=True, eq=False)
class Constant(Op):
    """A tensor known at compile time: weights, and what was folded."""

    value: Array
    arity: ClassVar = (0, 0)

    def infer(self, *inputs: TensorType) -> TensorType:
        return TensorType(tuple(int(extent) for extent in self.value.shape), DType(self.value.dtype.name))

    def reference(self, *inputs: Array) -> Array:
        return self.value

    def flops(self, output: TensorType, *inputs: TensorType) -> int:
        return 0


def constant(value: Array, origin: Origin) -> Node:
    """A constant node: contiguous, little-endian; float64 becomes float32."""
    dtype = DType.INT32 if np.issubdtype(value.dtype, np.integer) else DType.FLOAT32
    return make(Constant(np.asarray(value, dtype=dtype.numpy, order="C")), origin=origin)
