"""Convolution as a tensor expression over packed weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tvm import te

from convc import ops
from convc.ir import Array, Shape, TensorType
from convc.lower.anchor import Anchor, Packing, padded
from convc.lower.contraction import contract
from convc.lower.layout import Layout, round_up
from convc.lower.math import Expr, f32
from convc.ops.window import output_extents

FILTERS = 8
"""Filters of a layer for threads are a multiple of these: 16 bytes of 16-bit numbers, what a thread copies at once."""


@dataclass(frozen=True)
class PackedKernel(Packing):
    """*spatial, C / groups, O to blocks, *spatial, C / groups, lanes: each block of filters contiguous.

    The last block is padded with zeros; with several groups, `lanes` divides the filters of a group.
    """

    lanes: int

    def shape(self, shape: Shape) -> Shape:
        return (-(-shape[-1] // self.lanes), *shape[:-1], self.lanes)

    def apply(self, value: Array) -> Array:
        blocks = self.shape(value.shape)[0]
        surplus = [(0, 0)] * (value.ndim - 1) + [(0, blocks * self.lanes - value.shape[-1])]
        split = np.pad(value, surplus).reshape(*value.shape[:-1], blocks, self.lanes)
        return np.ascontiguousarray(np.moveaxis(split, -2, 0))


@dataclass(frozen=True)
class PackedDepthwise(Packing):
    """*spatial, 1, O to *spatial, O."""

    def shape(self, shape: Shape) -> Shape:
        return (*shape[:-2], shape[-1])

    def apply(self, value: Array) -> Array:
        return np.ascontiguousarray(value[..., 0, :])


def packing(op: ops.Conv, kernel: TensorType, layout: Layout) -> Packing:
    """How the kernel's weights are stored in the library."""
    if op.is_depthwise(kernel):
        return PackedDepthwise()
    per_group = kernel.shape[-1] // op.groups
    if layout.threads:
        return PackedKernel(round_up(per_group, FILTERS) if op.groups == 1 else per_group)
    if op.groups == 1:
        return PackedKernel(min(layout.lanes, 1 << (per_group - 1).bit_length()))
    return PackedKernel(max(lanes for lanes in range(1, layout.lanes + 1) if per_group % lanes == 0))


def conv(op: ops.Conv, x: te.Tensor, kernel: te.Tensor, layout: Layout) -> Anchor:
    """Block `pad` where needed, and those of `contract` over the domain N, *spatial, block, lane; the last two spatial
    extents are rounded up to the layout's tile."""
    window = tuple(int(extent) for extent in kernel.shape[1:-2])
    out = output_extents(_extents(x), window, op.strides, op.dilation, op.padding)
    tile = (1,) * (len(out) - 2) + ((layout.rows,) if len(out) > 1 else ()) + (layout.columns,)
    rounded = tuple(round_up(extent, multiple) for extent, multiple in zip(out, tile, strict=True))
    blocks, depth, lanes = int(kernel.shape[0]), int(kernel.shape[-2]), int(kernel.shape[-1])
    blocks_per_group = blocks // op.groups
    source = padded(x, op.padding, rounded, window, op.strides, op.dilation, f32(0.0))

    def product(indices: Sequence[Expr], taps: Sequence[Expr], channel: Expr) -> Expr:
        n, *position, block, lane = indices
        where = [p * s + k * d for p, s, k, d in zip(position, op.strides, taps, op.dilation, strict=True)]
        first = block // blocks_per_group * depth if op.groups > 1 else 0
        return source(n, *where, first + channel) * kernel(block, *taps, channel, lane)

    result = contract((int(x.shape[0]), *rounded, blocks, lanes), window, depth, product, layout)

    def read(*indices: Expr) -> Expr:
        *position, o = indices
        return result(*position, o // lanes, o % lanes)

    return read


def depthwise(op: ops.Conv, x: te.Tensor, kernel: te.Tensor, per_channel: int) -> Anchor:
    """Blocks `pad` (where needed) and `depthwise`, whose domain is N, *spatial, O.

    Output channel o reads channel o // per_channel.
    """
    window = tuple(int(extent) for extent in kernel.shape[:-1])
    out = output_extents(_extents(x), window, op.strides, op.dilation, op.padding)
    source = padded(x, op.padding, out, window, op.strides, op.dilation, f32(0.0))
    taps = [te.reduce_axis((0, extent), f"k{axis}") for axis, extent in enumerate(window)]

    def element(n: Expr, *indices: Expr) -> Expr:
        *position, o = indices
        where = [p * s + k * d for p, s, k, d in zip(position, op.strides, taps, op.dilation, strict=True)]
        channel = o if per_channel == 1 else o // per_channel
        return te.sum(source(n, *where, channel) * kernel(*taps, o), axis=taps)

    filters = int(x.shape[-1]) * per_channel
    result = te.compute((x.shape[0], *out, filters), element, name="depthwise")
    return lambda *indices: result(*indices)


def _extents(x: te.Tensor) -> Shape:
    return tuple(int(extent) for extent in x.shape[1:-1])
