"""Transposed convolution of rank 1 to 3: every input element adds a scaled kernel to the output."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np

from convc.errors import ShapeError
from convc.ir import Array, Op, Shape, TensorType
from convc.ops.check import check_dtypes, check_elements
from convc.ops.window import Padding, check_positive, check_window, effective


@dataclass(frozen=True)
class ConvTranspose(Op):
    """The gradient of a convolution, channels-last.

    Inputs: x of N, *spatial, C; kernel of *spatial, O, C; optionally a bias of O. Output: N, *spatial, O.
    Element i of x adds tap t of the kernel at i * stride + t * dilation of the full result, which has
    (in - 1) * stride + (k - 1) * dilation + 1 elements. `crop` (low, high) of them are cut off at either end; where
    high is negative, so many zeros follow. The bias is added to all that is left.
    """

    strides: Shape
    dilation: Shape
    crop: Padding
    arity: ClassVar = (2, 3)

    def infer(self, *inputs: TensorType) -> TensorType:
        x, kernel = inputs[:2]
        rank = x.rank - 2
        if not 1 <= rank <= 3:
            raise ShapeError(
                "", "transposed convolution of this rank", expected="an input of 3 to 5 axes", received=str(x)
            )
        if kernel.rank != x.rank:
            raise ShapeError("", "the kernel's rank does not fit", expected=f"{x.rank} axes", received=str(kernel))
        check_dtypes(inputs)
        check_window(rank, strides=self.strides, dilation=self.dilation, crop=self.crop)
        check_positive(strides=self.strides, dilation=self.dilation)
        channels, filters = x.shape[-1], kernel.shape[-2]
        if kernel.shape[-1] != channels:
            raise ShapeError(
                "",
                "the kernel does not fit the input's channels",
                expected=f"{channels} input channels",
                received=str(kernel),
            )
        if len(inputs) == 3 and inputs[2].shape != (filters,):
            raise ShapeError("", "the bias does not fit", expected=str((filters,)), received=str(inputs[2].shape))
        whole = self._full(x.shape[1:-1], kernel.shape[:-2])
        check_elements((x.shape[0], *whole, filters), "the result before cropping is too large")
        out = []
        for axis, (full, (low, high), k, d) in enumerate(
            zip(whole, self.crop, kernel.shape[:-2], self.dilation, strict=True)
        ):
            if not 0 <= low < effective(k, d):
                raise ShapeError(
                    "",
                    f"the crop of spatial axis {axis} is wrong",
                    expected=f"0 to {effective(k, d) - 1} elements at the start",
                    received=str(low),
                )
            if full <= low + high:
                raise ShapeError(
                    "",
                    f"nothing would be left of spatial axis {axis}",
                    expected=f"fewer than {full} elements to be cropped",
                    received=f"{low} + {high}",
                    remedy="use padding='valid', output_padding or a larger input",
                )
            out.append(full - low - high)
        return TensorType((x.shape[0], *out, filters), x.dtype)

    def reference(self, *inputs: Array) -> Array:
        x, kernel = inputs[:2]
        window, filters = kernel.shape[:-2], kernel.shape[-2]
        full = np.zeros((x.shape[0], *self._full(x.shape[1:-1], window), filters), x.dtype)
        for tap in product(*(range(k) for k in window)):
            index = tuple(
                slice(t * d, t * d + (extent - 1) * s + 1, s)
                for t, d, s, extent in zip(tap, self.dilation, self.strides, x.shape[1:-1], strict=True)
            )
            full[(slice(None),) + index] += x @ kernel[tap].T  # noqa: RUF005  (a star in an index needs Python 3.11)
        kept = tuple(
            slice(low, extent - max(high, 0)) for (low, high), extent in zip(self.crop, full.shape[1:-1], strict=True)
        )
        cut = full[(slice(None),) + kept]  # noqa: RUF005
        result = np.pad(cut, [(0, 0), *((0, max(-high, 0)) for _, high in self.crop), (0, 0)])
        return result + inputs[2] if len(inputs) == 3 else result

    def flops(self, output: TensorType, *inputs: TensorType) -> int:
        x, kernel = inputs[:2]
        positions = x.elements // x.shape[-1]
        return positions * 2 * math.prod(kernel.shape) + (output.elements if len(inputs) == 3 else 0)

    def _full(self, extents: Shape, window: Shape) -> Shape:
        return tuple(
            (extent - 1) * s + effective(k, d)
            for extent, k, s, d in zip(extents, window, self.strides, self.dilation, strict=True)
        )
