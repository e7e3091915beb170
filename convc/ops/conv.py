"""Convolution of rank 1 to 3: plain, grouped, depthwise, dilated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convc.errors import ShapeError
from convc.ir import Array, Op, Shape, TensorType
from convc.ops.check import check_dtypes, check_elements
from convc.ops.window import Padding, check_padding, check_positive, check_window, output_extents, pad_spatial, taps


@dataclass(frozen=True)
class Conv(Op):
    """Cross-correlation, channels-last.

    Inputs: x of N, *spatial, C; kernel of *spatial, C / groups, O; optionally a bias of O. Output: N, *spatial, O.
    Output channel o reads the input channels of group o // (O / groups). Depthwise is groups = C.
    Where `exact`, all products and sums are integers below 2**24, and no algorithm is used that would round them.
    """

    strides: Shape
    padding: Padding
    dilation: Shape
    groups: int = 1
    exact: bool = False
    arity: ClassVar = (2, 3)

    def infer(self, *inputs: TensorType) -> TensorType:
        x, kernel = inputs[:2]
        rank = x.rank - 2
        if not 1 <= rank <= 3:
            raise ShapeError("", "convolution of this rank", expected="an input of 3 to 5 axes", received=str(x))
        if kernel.rank != x.rank:
            raise ShapeError("", "the kernel's rank does not fit", expected=f"{x.rank} axes", received=str(kernel))
        check_dtypes(inputs)
        check_window(rank, strides=self.strides, padding=self.padding, dilation=self.dilation)
        check_padding(self.padding)
        check_positive(strides=self.strides, dilation=self.dilation, groups=(self.groups,))
        channels, filters = x.shape[-1], kernel.shape[-1]
        if channels % self.groups:
            raise ShapeError(
                "",
                "input channels are not divisible by groups",
                expected=f"a multiple of {self.groups}",
                received=str(channels),
            )
        if filters % self.groups:
            raise ShapeError(
                "",
                "filters are not divisible by groups",
                expected=f"a multiple of {self.groups}",
                received=str(filters),
            )
        if kernel.shape[-2] * self.groups != channels:
            raise ShapeError(
                "",
                "the kernel does not fit the input's channels",
                expected=f"{channels // self.groups} input channels",
                received=str(kernel),
            )
        if len(inputs) == 3 and inputs[2].shape != (filters,):
            raise ShapeError("", "the bias does not fit", expected=str((filters,)), received=str(inputs[2].shape))
        out = output_extents(x.shape[1:-1], kernel.shape[:-2], self.strides, self.dilation, self.padding)
        padded = (extent + low + high for extent, (low, high) in zip(x.shape[1:-1], self.padding, strict=True))
        check_elements((x.shape[0], *padded, channels), "the padded input is too large")
        return TensorType((x.shape[0], *out, filters), x.dtype)

    def reference(self, *inputs: Array) -> Array:
        x, kernel = inputs[:2]
        window, depth, filters = kernel.shape[:-2], kernel.shape[-2], kernel.shape[-1]
        out = output_extents(x.shape[1:-1], window, self.strides, self.dilation, self.padding)
        padded = pad_spatial(x, self.padding, 0)
        per_group = filters // self.groups
        result = np.zeros((x.shape[0], *out, self.groups, per_group), x.dtype)
        for tap, view in taps(padded, window, self.strides, self.dilation, out):
            split = view.reshape(*view.shape[:-1], self.groups, 1, depth)
            weights = kernel[tap].reshape(depth, self.groups, per_group).transpose(1, 0, 2)
            result += (split @ weights)[..., 0, :]
        flat = result.reshape(x.shape[0], *out, filters)
        return flat + inputs[2] if len(inputs) == 3 else flat

    def flops(self, output: TensorType, *inputs: TensorType) -> int:
        return output.elements * (2 * math.prod(inputs[1].shape[:-1]) + (len(inputs) == 3))

    def is_depthwise(self, kernel: TensorType) -> bool:
        """Whether each output channel reads exactly one input channel (any depth multiplier)."""
        return self.groups > 1 and kernel.shape[-2] == 1
