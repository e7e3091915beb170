"""Max and average pooling over windows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convc.errors import ShapeError
from convc.ir import Array, Op, Shape, TensorType
from convc.ops.window import Padding, check_padding, check_positive, check_window, output_extents, pad_spatial, taps

MAX_WINDOW = 1 << 24
"""Elements of a window; under padding it may be larger than the input, and more is taken for an attack."""


@dataclass(frozen=True)
class Pool(Op):
    """Base of the window poolings: x of N, *spatial, C to N, *spatial, C."""

    window: Shape
    strides: Shape
    padding: Padding
    arity: ClassVar = (1, 1)

    def infer(self, *inputs: TensorType) -> TensorType:
        x = inputs[0]
        check_window(x.rank - 2, window=self.window, strides=self.strides, padding=self.padding)
        check_positive(window=self.window, strides=self.strides)
        check_padding(self.padding)
        if math.prod(self.window) > MAX_WINDOW:
            raise ShapeError(
                "", "the window is too large", expected=f"at most {MAX_WINDOW} elements", received=str(self.window)
            )
        if any(max(pair) >= extent for pair, extent in zip(self.padding, self.window, strict=True)):
            raise ShapeError(
                "",
                "a window would lie in the padding",
                expected=f"padding below the window {self.window}",
                received=str(self.padding),
            )
        return TensorType((x.shape[0], *self.extents(x.shape[1:-1]), x.shape[-1]), x.dtype)

    def extents(self, extents: Shape) -> Shape:
        """Spatial output sizes for spatial input sizes."""
        return output_extents(extents, self.window, self.strides, (1,) * len(extents), self.padding)

    def views(self, x: Array, value: float) -> list[Array]:
        """One view of `x`, padded by `value`, for each position in the window."""
        ones = (1,) * len(self.window)
        padded = pad_spatial(x, self.padding, value)
        return [view for _, view in taps(padded, self.window, self.strides, ones, self.extents(x.shape[1:-1]))]

    def flops(self, output: TensorType, *inputs: TensorType) -> int:
        return output.elements * math.prod(self.window)


@dataclass(frozen=True)
class MaxPool(Pool):
    """The largest element of each window; padding is minus infinity."""

    def reference(self, *inputs: Array) -> Array:
        result: Array = np.max(self.views(inputs[0], -np.inf), axis=0)
        return result


@dataclass(frozen=True)
class AvgPool(Pool):
    """The mean of each window; padding is not counted unless `count_padding`."""

    count_padding: bool = False

    def reference(self, *inputs: Array) -> Array:
        x = inputs[0]
        total = np.sum(self.views(x, 0), axis=0)
        ones = np.ones_like(x[:1, ..., :1])
        count = math.prod(self.window) if self.count_padding else np.sum(self.views(ones, 0), axis=0)
        result: Array = total / count
        return result
