"""A box of elements at equal distances, cut out of a tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from convc.errors import ShapeError
from convc.ir import Array, Op, Shape, TensorType


@dataclass(frozen=True)
class Slice(Op):
    """Element i of an axis is x's element starts + i * steps there, i below sizes; steps may be negative, never 0.

    Each has one entry per axis, the batch included. Every element that is read lies inside x.
    """

    starts: Shape
    sizes: Shape
    steps: Shape
    arity: ClassVar = (1, 1)

    @classmethod
    def along(cls, shape: Shape, axis: int, start: int, size: int, step: int = 1) -> Slice:
        """A slice of one axis of a tensor of `shape`; all of the others."""
        starts, sizes, steps = [0] * len(shape), list(shape), [1] * len(shape)
        starts[axis], sizes[axis], steps[axis] = start, size, step
        return cls(tuple(starts), tuple(sizes), tuple(steps))

    def infer(self, *inputs: TensorType) -> TensorType:
        x = inputs[0]
        if not len(self.starts) == len(self.sizes) == len(self.steps) == x.rank:
            received = f"{len(self.starts)} starts, {len(self.sizes)} sizes, {len(self.steps)} steps"
            raise ShapeError(
                "", "the slice does not fit the input", expected=f"{x.rank} of each for {x.shape}", received=received
            )
        if 0 in self.steps:
            raise ShapeError("", "steps must not be 0", received=str(self.steps))
        if any(size < 1 for size in self.sizes):
            raise ShapeError("", "the slice is empty", expected="sizes of 1 or more", received=str(self.sizes))
        for axis, (start, size, step) in enumerate(zip(self.starts, self.sizes, self.steps, strict=True)):
            last = start + (size - 1) * step
            if not (0 <= start < x.shape[axis] and 0 <= last < x.shape[axis]):
                raise ShapeError(
                    "",
                    f"the slice of axis {axis} reaches outside the input",
                    expected=f"elements 0 to {x.shape[axis] - 1}",
                    received=f"{min(start, last)} to {max(start, last)}",
                )
        return TensorType(self.sizes, x.dtype)

    def reference(self, *inputs: Array) -> Array:
        ends = [start + size * step for start, size, step in zip(self.starts, self.sizes, self.steps, strict=True)]
        bounds = zip(self.starts, (None if end < 0 else end for end in ends), self.steps, strict=True)
        result: Array = inputs[0][tuple(slice(*bound) for bound in bounds)]
        return result

    def flops(self, output: TensorType, *inputs: TensorType) -> int:
        return 0
