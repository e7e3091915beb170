"""Conv, ConvTranspose and Col2Im."""

from __future__ import annotations

import math

import numpy as np

from convc import ops
from convc.errors import ModelError, ShapeError
from convc.frontends.onnx.registry import Call, handler
from convc.frontends.onnx.window import Ints, channels_last, each, padding, spatial
from convc.ir import Array, Node
from convc.ops.window import effective


@handler("Conv")
def conv(
    call: Call,
    x: Node,
    w: Array,
    b: Node | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints | None = None,
    group: int = 1,
    kernel_shape: Ints | None = None,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Node:
    """Kernels are O, C / groups, *spatial."""
    return convolution(call, x, w, b, auto_pad, dilations, group, kernel_shape, pads, strides)


def convolution(
    call: Call,
    x: Node,
    w: Array,
    b: Node | None,
    auto_pad: str,
    dilations: Ints | None,
    group: int,
    kernel_shape: Ints | None,
    pads: Ints | None,
    strides: Ints | None,
    *,
    exact: bool = False,
) -> Node:
    """Conv by its attributes. `exact`: products and sums are integers that float32 has."""
    extents = spatial(x)
    rank = len(extents)
    if w.ndim != rank + 2:
        raise ShapeError("", "the kernel's rank does not fit", expected=f"{rank + 2} axes", received=str(w.shape))
    if kernel_shape is not None and kernel_shape != w.shape[2:]:
        raise ModelError("", "'kernel_shape' is wrong", expected=str(w.shape[2:]), received=str(kernel_shape))
    s, d = each(strides, rank, "strides"), each(dilations, rank, "dilations")
    window = tuple(int(extent) for extent in w.shape[2:])
    op = ops.Conv(s, padding(auto_pad, pads, extents, window, s, d), d, group, exact)
    kernel = call.constant(np.ascontiguousarray(np.moveaxis(w, (0, 1), (-1, -2))))
    return channels_last(call, x, lambda y: call.make(op, y, kernel, *([] if b is None else [b])))


@handler("ConvTranspose")
def conv_transpose(
    call: Call,
    x: Node,
    w: Array,
    b: Node | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints | None = None,
    group: int = 1,
    kernel_shape: Ints | None = None,
    output_padding: Ints | None = None,
    output_shape: Ints | None = None,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Node:
    """Kernels are C, O / groups, *spatial; groups are computed one by one."""
    extents = spatial(x)
    rank = len(extents)
    if w.ndim != rank + 2 or group < 1 or w.shape[0] % group or w.shape[0] != x.type.shape[1]:
        raise ShapeError("", "the kernel does not fit", expected=f"{x.type.shape[1]} channels", received=str(w.shape))
    s, d = each(strides, rank, "strides"), each(dilations, rank, "dilations")
    extra = (0,) * rank if output_padding is None else output_padding
    window = tuple(int(extent) for extent in w.shape[2:])
    full = tuple((e - 1) * step + effective(k, t) for e, step, k, t in zip(extents, s, window, d, strict=True))
    if output_shape is not None or auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        wanted = tuple(e * step for e, step in zip(extents, s, strict=True)) if output_shape is None else output_shape
        total = [f + e - o for f, e, o in zip(full, extra, wanted[-rank:], strict=True)]
        # What is missing is added behind, and no end is cropped then.
        first = [max(t // 2 if auto_pad == "SAME_UPPER" else t - t // 2, 0) for t in total]
        crop = tuple((low, t - low - e) for low, t, e in zip(first, total, extra, strict=True))
    else:
        given = padding(auto_pad, pads, extents, window, s, d)
        crop = tuple((low, high - e) for (low, high), e in zip(given, extra, strict=True))
    op = ops.ConvTranspose(s, d, crop)
    kernel = np.ascontiguousarray(np.moveaxis(w, (0, 1), (-1, -2)))

    def compute(y: Node) -> Node:
        parts = []
        size = w.shape[0] // group
        for index in range(group):
            part = y if group == 1 else call.make(ops.Slice.along(y.type.shape, rank + 1, index * size, size), y)
            own = call.constant(np.ascontiguousarray(kernel[..., index * size : (index + 1) * size]))
            parts.append(call.make(op, part, own))
        z = parts[0] if group == 1 else call.make(ops.Concat(rank + 1), *parts)
        return z if b is None else call.make(ops.Add(), z, b)

    return channels_last(call, x, compute)


@handler("Col2Im")
def col2im(
    call: Call,
    x: Node,
    image_shape: Array,
    block_shape: Array,
    *,
    dilations: Ints | None = None,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Node:
    """Blocks added up at their places: a transposed convolution whose tap t is 1 for the block's element t alone."""
    image, block = (tuple(int(extent) for extent in value.reshape(-1)) for value in (image_shape, block_shape))
    rank = len(image)
    s, d = each(strides, rank, "strides"), each(dilations, rank, "dilations")
    taps = math.prod(each(block, rank, "block_shape"))
    given = padding("NOTSET", pads, image, block, s, d)
    sides = zip(image, block, s, d, given, strict=True)
    places = tuple((e + low + high - effective(k, t)) // step + 1 for e, k, step, t, (low, high) in sides)
    if x.type.rank != 3 or x.type.shape[1] % taps or min(places) < 1 or x.type.shape[2] != math.prod(places):
        expected = f"N, C * {taps}, {math.prod(places)}"
        raise ShapeError("", "the blocks do not fit the image", expected=expected, received=str(x.type.shape))
    batch, channels = x.type.shape[0], x.type.shape[1] // taps
    full = ((n - 1) * step + effective(k, t) for n, step, k, t in zip(places, s, block, d, strict=True))
    crop = tuple((low, whole - low - e) for (low, _), whole, e in zip(given, full, image, strict=True))
    wide = call.make(ops.Reshape((batch * channels, taps, *places)), x)
    last = call.make(ops.Transpose((0, *range(2, rank + 2), 1)), wide)
    kernel = call.constant(np.eye(taps, dtype=np.float32).reshape(*block, 1, taps))
    y = call.make(ops.ConvTranspose(s, d, crop), last, kernel)
    return call.make(ops.Reshape((batch, channels, *image)), y)
