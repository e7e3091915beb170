"""Elements picked by indices that are themselves a tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convc.errors import ShapeError
from convc.ir import Array, DType, Op, TensorType

LEAST_INT32 = -(1 << 31)


def missing(dtype: DType) -> float:
    """What stands where an index lies outside: NaN, or the least integer."""
    return float("nan") if dtype is DType.FLOAT32 else LEAST_INT32


class Pick(Op):
    """x's elements along `axis` at the indices of the second input, which are INT32.

    Indices from -n to -1 count from the end of the n elements; one that lies outside gives `missing`, as jax's take.
    """

    axis: int
    arity: ClassVar = (2, 2)

    def check(self, x: TensorType, indices: TensorType) -> None:
        """Raises `ShapeError` for an axis outside x, or indices that are no integers."""
        if not 0 <= self.axis < x.rank:
            raise ShapeError("", "axis is outside the input", expected=f"0 to {x.rank - 1}", received=str(self.axis))
        if indices.dtype is not DType.INT32:
            raise ShapeError(
                "", "the indices are not integers", expected=DType.INT32.value, received=indices.dtype.value
            )

    def flops(self, output: TensorType, *inputs: TensorType) -> int:
        return 0


@dataclass(frozen=True)
class Take(Pick):
    """Whole slices: x's shape, with the indices' shape in place of `axis`."""

    axis: int

    def infer(self, *inputs: TensorType) -> TensorType:
        x, indices = inputs
        self.check(x, indices)
        return TensorType((*x.shape[: self.axis], *indices.shape, *x.shape[self.axis + 1 :]), x.dtype)

    def reference(self, *inputs: Array) -> Array:
        x, indices = inputs
        position, inside = _resolved(indices, x.shape[self.axis])
        outer, inner = (1,) * self.axis, (1,) * (x.ndim - self.axis - 1)
        return _masked(x, np.take(x, position, self.axis), inside.reshape(outer + inside.shape + inner))


@dataclass(frozen=True)
class TakeAlong(Pick):
    """One element for each index: the indices have x's shape but along `axis`."""

    axis: int

    def infer(self, *inputs: TensorType) -> TensorType:
        x, indices = inputs
        self.check(x, indices)
        rest = [extent for axis, extent in enumerate(x.shape) if axis != self.axis]
        given = [extent for axis, extent in enumerate(indices.shape) if axis != self.axis]
        if indices.rank != x.rank or given != rest:
            raise ShapeError(
                "",
                "the indices do not fit the input",
                expected=f"{x.shape} but for axis {self.axis}",
                received=str(indices.shape),
            )
        return TensorType(indices.shape, x.dtype)

    def reference(self, *inputs: Array) -> Array:
        x, indices = inputs
        position, inside = _resolved(indices, x.shape[self.axis])
        return _masked(x, np.take_along_axis(x, position, self.axis), inside)


def _resolved(indices: Array, extent: int) -> tuple[Array, Array]:
    """Indices from 0 to extent - 1, and which of them are those that were meant."""
    wide = indices.astype(np.int64)
    wrapped = np.where(wide < 0, wide + extent, wide)
    return np.clip(wrapped, 0, extent - 1), (wrapped >= 0) & (wrapped < extent)


def _masked(x: Array, values: Array, inside: Array) -> Array:
    absent = missing(DType.INT32 if np.issubdtype(x.dtype, np.integer) else DType.FLOAT32)
    result: Array = np.where(inside, values, np.asarray(absent, x.dtype))
    return result
