"""Resampling along axes, one after the other, by tables: resizing of images and adaptive pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convc.errors import ShapeError
from convc.ir import Array, DType, Op, Shape, TensorType


@dataclass(frozen=True)
class Resample(Op):
    """Base: along each of one or two neighbouring `axes`, element i is made of the elements that a table names.

    Inputs are x, then the tables of each axis: `indices`, INT32 of (out, taps), all within the axis, and whatever else
    `tables` counts. Tables are constants. Axes are not negative and in order; the first one is resampled first.
    """

    axes: Shape
    arity: ClassVar = (2, 5)
    tables: ClassVar[int] = 1
    """Tables for each axis."""

    def infer(self, *inputs: TensorType) -> TensorType:
        x, *tables = inputs
        count = len(self.axes)
        in_order = self.axes == tuple(range(self.axes[0], self.axes[0] + count)) if self.axes else False
        if not (in_order and count <= 2 and self.axes[0] >= 0 and self.axes[-1] < x.rank):
            expected = f"one axis from 0 to {x.rank - 1}, or two neighbours in order"
            raise ShapeError("", "axes do not fit the input", expected=expected, received=str(self.axes))
        if len(tables) != self.tables * count:
            expected = f"{self.tables} for each axis"
            raise ShapeError("", "wrong number of tables", expected=expected, received=str(len(tables)))
        shape = list(x.shape)
        for axis, own in zip(self.axes, self.split(tables), strict=True):
            _check_tables(own)
            shape[axis] = own[0].shape[0]
        return TensorType(tuple(shape), x.dtype)

    def split(self, tables: Sequence[TensorType]) -> list[Sequence[TensorType]]:
        """The tables of each axis."""
        return [tables[i * self.tables : (i + 1) * self.tables] for i in range(len(self.axes))]

    def flops(self, output: TensorType, *inputs: TensorType) -> int:
        total, shape = 0, list(inputs[0].shape)
        for axis, own in zip(self.axes, self.split(inputs[1:]), strict=True):
            out, taps = own[0].shape
            shape[axis] = out
            total += self.tables * taps * int(np.prod(shape, dtype=object))
        return total


@dataclass(frozen=True)
class ResampleSum(Resample):
    """y[i] = sum over t of weights[i, t] * x[indices[i, t]]; weights are FLOAT32 of (out, taps)."""

    tables: ClassVar[int] = 2

    def reference(self, *inputs: Array) -> Array:
        x, *tables = inputs
        for axis, indices, weights in zip(self.axes, tables[::2], tables[1::2], strict=True):
            along = (-1,) + (1,) * (x.ndim - 1 - axis)
            terms = [
                np.take(x, indices[:, tap], axis) * weights[:, tap].reshape(along) for tap in range(indices.shape[1])
            ]
            x = sum(terms[1:], terms[0])
        return x


@dataclass(frozen=True)
class ResampleMax(Resample):
    """y[i] = the largest of x[indices[i, t]]."""

    def reference(self, *inputs: Array) -> Array:
        x, *tables = inputs
        for axis, indices in zip(self.axes, tables, strict=True):
            x = np.max([np.take(x, indices[:, tap], axis) for tap in range(indices.shape[1])], axis=0)
        return x


def _check_tables(own: Sequence[TensorType]) -> None:
    indices, *others = own
    if indices.dtype is not DType.INT32 or indices.rank != 2:
        raise ShapeError("", "indices are wrong", expected="int32 of (out, taps)", received=str(indices))
    for other in others:
        if other.dtype is not DType.FLOAT32 or other.shape != indices.shape:
            raise ShapeError("", "weights are wrong", expected=f"float32{list(indices.shape)}", received=str(other))
