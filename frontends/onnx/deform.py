"""DeformConv: elements read between the places of a convolution's window, which are moved, and their product."""

from __future__ import annotations

import math
from functools import reduce
from itertools import product

import numpy as np

from convc import ops
from convc.errors import ShapeError
from convc.frontends.onnx.registry import Call, handler
from convc.frontends.onnx.sample import Grid, Maker, fetched, weighted
from convc.frontends.onnx.window import Ints, each, padding, spatial
from convc.ir import Array, Node, Shape
from convc.ops.window import output_extents


@handler("DeformConv")
def deform_conv(
    call: Call,
    x: Node,
    w: Array,
    offset: Node,
    b: Node | None = None,
    mask: Node | None = None,
    *,
    dilations: Ints | None = None,
    group: int = 1,
    kernel_shape: Ints | None = None,
    offset_group: int = 1,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Node:
    """Convolutions of images; each tap of each group of channels has an offset for every output, and a factor."""
    extents = spatial(x)
    batch, channels = x.type.shape[:2]
    fits = len(extents) == 2 and w.ndim == 4 and group > 0 and offset_group > 0 and w.shape[1] * group == channels
    if not fits or w.shape[0] % group or channels % offset_group:
        raise ShapeError("", "the kernel does not fit", expected=f"{channels} channels", received=str(w.shape))
    window = (int(w.shape[2]), int(w.shape[3]))
    s, d = each(strides, 2, "strides"), each(dilations, 2, "dilations")
    given = padding("NOTSET", pads, extents, window, s, d)
    out = output_extents(extents, window, s, d, given)
    taps = math.prod(window)
    lead = (batch, offset_group, taps)
    if offset.type.shape != (batch, offset_group * taps * 2, *out):
        expected = str((batch, offset_group * taps * 2, *out))
        raise ShapeError("", "the offsets do not fit", expected=expected, received=str(offset.type.shape))
    if mask is not None and mask.type.shape != (batch, offset_group * taps, *out):
        expected = str((batch, offset_group * taps, *out))
        raise ShapeError("", "the mask does not fit", expected=expected, received=str(mask.type.shape))
    values = _values(call, x, offset, offset_group, _centres(window, out, s, d, [low for low, _ in given]))
    if mask is not None:
        values = weighted(Maker(call), values, call.make(ops.Reshape((*lead, *out)), mask))
    # N, offset group, tap, H, W, C to N, H, W, C, tap.
    columns = call.make(ops.Transpose((0, 3, 4, 1, 5, 2)), values)
    columns = call.make(ops.Reshape((batch, *out, channels * taps)), columns)
    depth, parts = channels * taps // group, []
    for index, own in enumerate(np.split(w.reshape(w.shape[0], -1), group)):
        part = (
            columns if group == 1 else call.make(ops.Slice.along(columns.type.shape, 3, index * depth, depth), columns)
        )
        parts.append(call.make(ops.Dense(), part, call.constant(np.ascontiguousarray(own.T))))
    y = parts[0] if group == 1 else call.make(ops.Concat(3), *parts)
    y = y if b is None else call.make(ops.Add(), y, b)
    return call.make(ops.Transpose((0, 3, 1, 2)), y)


def _centres(window: Shape, out: Shape, strides: Shape, dilation: Shape, low: list[int]) -> list[Array]:
    """Where each tap lies in the input for each output, of (taps, *out), for each axis."""
    result = []
    for axis, taps in enumerate(np.indices(window)):
        outputs = np.arange(out[axis]).reshape((-1, 1) if axis == 0 else (1, -1))
        places = taps.reshape(-1, 1, 1) * dilation[axis] + outputs * strides[axis] - low[axis]
        result.append(np.broadcast_to(places, (places.shape[0], *out)))
    return result


def _values(call: Call, x: Node, offset: Node, groups: int, centres: list[Array]) -> Node:
    """The elements at the moved places, of N, groups, taps, *out, C / groups; zero outside of the image."""
    m, grid = Maker(call), Grid("linear", "zeros", aligned=True)
    batch, channels, *extents = x.type.shape
    taps, *out = centres[0].shape
    split = call.make(ops.Reshape((batch, groups, taps, 2, *out)), offset)
    sides = []
    for axis, (centre, extent) in enumerate(zip(centres, extents, strict=True)):
        own = call.make(ops.Slice.along(split.type.shape, 3, axis, 1), split)
        moved = call.make(ops.Reshape((batch, groups, taps, *out)), own)
        place = call.make(ops.Add(), moved, call.constant(np.asarray(centre, np.float32)))
        sides.append(grid.taps(m, place, extent))
    images = call.make(ops.Reshape((batch, groups, channels // groups, *extents)), x)
    images = call.make(ops.Transpose((0, 1, 3, 4, 2)), images)
    first = call.constant(np.arange(batch * groups, dtype=np.int32).reshape(batch, groups, 1, 1, 1))
    terms = [
        weighted(m, fetched(m, images, extents, first, [row, column]), m.multiply(above, left))
        for (row, above), (column, left) in product(*sides)
    ]
    return reduce(lambda a, b: call.make(ops.Add(), a, b), terms)
