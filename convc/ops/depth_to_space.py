"""Channels spread over blocks of space, which a transposed convolution's phases come from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from convc.errors import ShapeError
from convc.ir import Array, Op, Shape, TensorType
from convc.ops.window import Padding, check_padding, check_positive, check_window


@dataclass(frozen=True)
class DepthToSpace(Op):
    """N, *spatial, *block, C to N, *(spatial * block), C less `crop` (low, high) elements at either end of each axis.

    The input has the block's axes and C as one: its channel is (position in the block) * C + c.
    """

    block: Shape
    crop: Padding
    arity: ClassVar = (1, 1)

    def infer(self, *inputs: TensorType) -> TensorType:
        (x,) = inputs
        rank = x.rank - 2
        if rank < 1:
            raise ShapeError("", "no spatial axes", expected="an input of 3 axes or more", received=str(x))
        check_window(rank, block=self.block, crop=self.crop)
        check_positive(block=self.block)
        check_padding(self.crop)
        phases = math.prod(self.block)
        if x.shape[-1] % phases:
            raise ShapeError(
                "", "the block does not divide the channels", expected=f"a multiple of {phases}", received=str(x)
            )
        spatial = (
            extent * b - low - high for extent, b, (low, high) in zip(x.shape[1:-1], self.block, self.crop, strict=True)
        )
        return TensorType((x.shape[0], *spatial, x.shape[-1] // phases), x.dtype)

    def reference(self, *inputs: Array) -> Array:
        (x,) = inputs
        rank = x.ndim - 2
        split = x.reshape(*x.shape[:-1], *self.block, -1)
        order = [0, *(axis for i in range(rank) for axis in (1 + i, 1 + rank + i)), 2 * rank + 1]
        whole = (extent * b for extent, b in zip(x.shape[1:-1], self.block, strict=True))
        y = split.transpose(order).reshape(x.shape[0], *whole, -1)
        kept = tuple(slice(low, extent - high) for (low, high), extent in zip(self.crop, y.shape[1:-1], strict=True))
        result: Array = y[(slice(None),) + kept]  # noqa: RUF005  (a star in an index needs Python 3.11)
        return result

    def flops(self, output: TensorType, *inputs: TensorType) -> int:
        return 0
