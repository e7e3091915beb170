"""Operators that read images at computed places: GridSample and RoiAlign; and AffineGrid, which computes places.

Images are channels-last and flat, so that one index fetches all channels of an element.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product

import numpy as np

from convc import ops
from convc.errors import ModelError, ShapeError, UnsupportedError
from convc.frontends.onnx.arithmetic import integers
from convc.frontends.onnx.registry import Call, handler
from convc.frontends.product import product as summed
from convc.ir import Array, Node, Op


@dataclass(frozen=True)
class Maker:
    """Writes arithmetic on nodes and numbers."""

    call: Call

    def node(self, x: Node | float) -> Node:
        return x if isinstance(x, Node) else self.call.constant(np.float32(x))

    def of(self, op: Op, *inputs: Node | float) -> Node:
        return self.call.make(op, *map(self.node, inputs))

    def add(self, a: Node | float, b: Node | float) -> Node:
        return self.of(ops.Add(), a, b)

    def subtract(self, a: Node | float, b: Node | float) -> Node:
        return self.of(ops.Subtract(), a, b)

    def multiply(self, a: Node | float, b: Node | float) -> Node:
        return self.of(ops.Multiply(), a, b)

    def clamp(self, x: Node, low: float, high: float) -> Node:
        return self.of(ops.Minimum(), self.of(ops.Maximum(), x, low), high)

    def within(self, x: Node, low: float, high: float) -> Node:
        """1.0 where x is from `low` to `high`."""
        return self.multiply(self.of(ops.GreaterEqual(), x, low), self.of(ops.GreaterEqual(), high, x))

    def where(self, condition: Node, a: Node | float, b: Node | float) -> Node:
        return self.of(ops.Where(), condition, a, b)


def fetched(m: Maker, images: Node, extents: Sequence[int], batch: Node, places: Sequence[Node]) -> Node:
    """Elements of images of N, *extents, C at whole places that lie inside, with C behind them; `batch` is INT32."""
    flat = m.call.make(ops.Reshape((images.type.elements // images.type.shape[-1], images.type.shape[-1])), images)
    index = batch
    for place, extent in zip(places, extents, strict=True):
        scaled = m.call.make(ops.Multiply(), index, m.call.constant(np.int32(extent)))
        index = m.call.make(ops.Add(), scaled, integers(m.call, place))
    return m.call.make(ops.Take(0), flat, index)


def weighted(m: Maker, values: Node, weight: Node) -> Node:
    """Values with channels behind the axes of the weight."""
    column = m.call.make(ops.Reshape((*weight.type.shape, 1)), weight)
    return m.call.make(ops.Multiply(), values, column)


@dataclass(frozen=True)
class Grid:
    """The attributes of GridSample: `taps` elements along each axis are summed up."""

    mode: str
    padding: str
    aligned: bool

    def place(self, m: Maker, x: Node, extent: int) -> Node:
        """A coordinate from -1 to 1 as a place in the image."""
        if self.aligned:
            place = m.multiply(m.multiply(m.add(x, 1.0), 0.5), extent - 1)
        else:
            place = m.multiply(m.subtract(m.multiply(m.add(x, 1.0), extent), 1.0), 0.5)
        if self.mode == "nearest":
            place = m.of(ops.Round(), place)
        if self.padding == "zeros":
            return place
        low, high = self.borders(extent)
        inside = m.within(place, low, high)
        if self.padding == "border":
            return m.where(inside, place, m.clamp(place, 0.0, extent - 1))
        return m.where(inside, place, self.reflected(m, place, extent))

    def borders(self, extent: int) -> tuple[float, float]:
        """Where the image ends: at the centres of its outer elements, or at their outer sides."""
        return (0.0, extent - 1.0) if self.aligned else (-0.5, extent - 0.5)

    def reflected(self, m: Maker, x: Node, extent: int) -> Node:
        """x, thrown back at the borders until it lies between them."""
        low, high = self.borders(extent)
        if high == low:
            return m.multiply(x, 0.0)
        distance = m.of(ops.Abs(), m.subtract(x, low))
        rest = m.of(ops.Fmod(), distance, 2 * (high - low))
        return m.add(m.of(ops.Minimum(), rest, m.subtract(2 * (high - low), rest)), low)

    def taps(self, m: Maker, place: Node, extent: int) -> list[tuple[Node, Node]]:
        """Whole places inside the image, and their weights."""
        if self.mode == "nearest":
            return [self._tap(m, place, None, extent)]
        first = m.of(ops.Floor(), place)
        rest = m.subtract(place, first)
        if self.mode == "linear":
            shares = {0: m.subtract(1.0, rest), 1: rest}
        else:
            shares = {
                step: _cubic(m, m.of(ops.Abs(), m.subtract(rest, step)), step in (0, 1)) for step in (-1, 0, 1, 2)
            }
        return [self._tap(m, m.add(first, step), share, extent) for step, share in shares.items()]

    def _tap(self, m: Maker, place: Node, weight: Node | None, extent: int) -> tuple[Node, Node]:
        if self.padding == "reflection":
            place = self.reflected(m, place, extent)
        inside = m.within(place, 0.0, extent - 1) if self.padding == "zeros" else m.node(1.0)
        whole = m.clamp(place, 0.0, extent - 1)
        return whole, inside if weight is None else m.multiply(weight, inside)


def _cubic(m: Maker, x: Node, near: bool) -> Node:
    """Keys' cubic with a = -0.75 at a distance up to 1, or from 1 to 2."""
    a = -0.75
    if near:
        inner = m.multiply(m.subtract(m.multiply(x, a + 2), a + 3), m.of(ops.Square(), x))
        return m.add(inner, 1.0)
    inner = m.add(m.multiply(m.subtract(m.multiply(x, a), 5 * a), x), 8 * a)
    return m.subtract(m.multiply(inner, x), 4 * a)


_MODES = {"bilinear": "linear", "bicubic": "cubic", "linear": "linear", "cubic": "cubic", "nearest": "nearest"}


@handler("GridSample")
def grid_sample(
    call: Call, x: Node, grid: Node, *, mode: str = "linear", padding_mode: str = "zeros", align_corners: bool = False
) -> Node:
    """Elements at the places of a grid, whose last axis has coordinates from -1 to 1, the last axis' first."""
    rank = x.type.rank - 2
    if mode not in _MODES or padding_mode not in ("zeros", "border", "reflection"):
        raise ModelError("", "the mode is wrong", expected=", ".join(_MODES), received=f"{mode}, {padding_mode}"[:100])
    if (
        rank not in (1, 2, 3)
        or grid.type.rank != rank + 2
        or grid.type.shape[:: grid.type.rank - 1] != (x.type.shape[0], rank)
    ):
        raise ShapeError("", "the grid does not fit", expected=f"N, *out, {rank}", received=str(grid.type.shape))
    m, form = Maker(call), Grid(_MODES[mode], padding_mode, align_corners)
    extents, out = x.type.shape[2:], grid.type.shape[:-1]
    images = call.make(ops.Transpose((0, *range(2, rank + 2), 1)), x)
    sides = []
    for axis, extent in enumerate(extents):
        part = call.make(ops.Slice.along(grid.type.shape, rank + 1, rank - 1 - axis, 1), grid)
        sides.append(form.taps(m, form.place(m, call.make(ops.Reshape(out), part), extent), extent))
    batch = call.constant(np.arange(out[0], dtype=np.int32).reshape(out[0], *(1,) * rank))
    terms = []
    for taps in product(*sides):
        values = fetched(m, images, extents, batch, [place for place, _ in taps])
        weight = reduce(m.multiply, [weight for _, weight in taps])
        terms.append(values if weight.type.rank == 0 else weighted(m, values, weight))
    y = reduce(lambda a, b: call.make(ops.Add(), a, b), terms)
    return call.make(ops.Transpose((0, rank + 1, *range(1, rank + 1))), y)


@handler("RoiAlign")
def roi_align(
    call: Call,
    x: Node,
    rois: Node,
    batch_indices: Node,
    *,
    coordinate_transformation_mode: str | None = None,
    mode: str = "avg",
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> Node:
    """Each region brought to one size: every output is the mean, or the largest, of samples inside of its bin."""
    if mode not in ("avg", "max"):
        raise ModelError("", "'mode' is wrong", expected="avg or max", received=mode[:100])
    if sampling_ratio < 1:
        message = "the number of samples depends on the data"
        raise UnsupportedError("", message, expected="a positive 'sampling_ratio'", received=str(sampling_ratio))
    if x.type.rank != 4 or rois.type.rank != 2 or rois.type.shape[1] != 4 or min(output_height, output_width) < 1:
        received = f"{x.type.shape} and {rois.type.shape}"
        raise ShapeError("", "the regions do not fit", expected="N, C, H, W and R, 4", received=received)
    m = Maker(call)
    half = (coordinate_transformation_mode or ("half_pixel" if call.opset >= 16 else "")) == "half_pixel"
    moved = m.subtract(m.multiply(rois, spatial_scale), 0.5 if half else 0.0)
    corners = [call.make(ops.Slice.along(moved.type.shape, 1, at, 1), moved) for at in range(4)]
    count = rois.type.shape[0]
    sides = []
    for axis, (size, extent) in enumerate(((output_height, x.type.shape[2]), (output_width, x.type.shape[3]))):
        first, last = corners[1 - axis], corners[3 - axis]
        length = m.subtract(last, first)
        bins = m.multiply(length if half else m.of(ops.Maximum(), length, 1.0), 1 / size)
        steps = call.constant((np.arange(size * sampling_ratio, dtype=np.float32)[None] + 0.5) / sampling_ratio)
        places = m.add(first, m.multiply(bins, steps))
        shape = (count, size * sampling_ratio, 1) if axis == 0 else (count, 1, size * sampling_ratio)
        sides.append(_corner_taps(m, call.make(ops.Reshape(shape), places), extent))
    images = call.make(ops.Transpose((0, 2, 3, 1)), x)
    batch = call.make(ops.Reshape((count, 1, 1)), batch_indices)
    full = (count, output_height * sampling_ratio, output_width * sampling_ratio)
    terms = []
    for (row, above), (column, left) in product(*sides):
        values = fetched(m, images, x.type.shape[2:], batch, [row, column])
        terms.append(weighted(m, values, _repeated(call, m.multiply(above, left), full)))
    combine: Op = ops.Add() if mode == "avg" else ops.Maximum()
    samples = reduce(lambda a, b: call.make(combine, a, b), terms)
    window, none = (sampling_ratio,) * 2, ((0, 0),) * 2
    pooled = call.make((ops.AvgPool if mode == "avg" else ops.MaxPool)(window, window, none), samples)
    return call.make(ops.Transpose((0, 3, 1, 2)), pooled)


def _repeated(call: Call, x: Node, shape: tuple[int, ...]) -> Node:
    return x if x.type.shape == shape else call.make(ops.Broadcast(shape), x)


def _corner_taps(m: Maker, place: Node, extent: int) -> list[tuple[Node, Node]]:
    """The elements on both sides, and their weights; nothing more than one element beyond the image."""
    inside = m.within(place, -1.0, float(extent))
    limited = m.clamp(place, 0.0, extent - 1)
    low = m.of(ops.Floor(), limited)
    high = m.of(ops.Minimum(), m.add(low, 1.0), extent - 1)
    rest = m.subtract(limited, low)
    return [(low, m.multiply(m.subtract(1.0, rest), inside)), (high, m.multiply(rest, inside))]


@handler("AffineGrid")
def affine_grid(call: Call, theta: Node, size: Array, *, align_corners: bool = False) -> Node:
    """The places of a grid of coordinates from -1 to 1 under a matrix for each image; the last axis' come first."""
    extents = tuple(int(extent) for extent in size.reshape(-1))[2:]
    rank = len(extents)
    if rank not in (2, 3) or theta.type.shape[1:] != (rank, rank + 1) or min(extents) < 1:
        expected = "N, 2, 3 and 4 sizes, or N, 3, 4 and 5 sizes"
        raise ShapeError("", "the matrices do not fit", expected=expected, received=f"{theta.type.shape} and {extents}")
    steps = [
        np.linspace(-1, 1, extent) if align_corners else (2 * np.arange(extent) + 1) / extent - 1 for extent in extents
    ]
    planes = np.meshgrid(*steps, indexing="ij")[::-1]
    places = np.stack([*planes, np.ones(extents)], axis=-1).reshape(-1, rank + 1)
    # N, rank, rank + 1 by P, rank + 1 to N, P, rank.
    y = summed(theta, call.constant(places), (0, 1, 2), (3, 2), (0, 3, 1), call.origin)
    return call.make(ops.Reshape((theta.type.shape[0], *extents, rank)), y)
