"""Winograd's convolution F(m, r) along both axes: fewer products for a tile of m x m outputs than m * m * r * r.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015): Y = A' [(G g G') * (B' d B)] A, with d a
tile of m + r - 1 inputs along each axis. The matrices are those of `cook_toom`; along an axis where the window has one
tap they are 1. The weights' part is done when the library is loaded, in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import te, tirx

from convc import ops
from convc.ir import Array, Shape
from convc.lower.anchor import Anchor, Packing, SeparableMap, padded
from convc.lower.cook_toom import Matrix, Transforms, transforms
from convc.lower.layout import Layout, Tile
from convc.lower.math import Expr, f32

TILES: dict[tuple[int, int], tuple[Tile, ...]] = {
    (3, 3): ((4, 4), (2, 2)),
    (5, 5): ((2, 2),),
    (1, 3): ((1, 4), (1, 2)),
    (3, 1): ((4, 1), (2, 1)),
    (1, 7): ((1, 3), (1, 2)),
    (7, 1): ((3, 1), (2, 1)),
}
"""The tiles that may be chosen for a window, as far as rounding errors allow."""


@dataclass(frozen=True)
class PackedWinograd(Packing):
    """r, s, C, O to the tile's products along both axes, blocks, C, lanes; O is a multiple of `lanes`.

    The file holds the untransformed r, s, blocks, C, lanes, a part of it.
    """

    lanes: int
    tile: Tile

    def shape(self, shape: Shape) -> Shape:
        rows, columns = self._transforms(shape)
        return (rows.products, columns.products, shape[-1] // self.lanes, shape[-2], self.lanes)

    def apply(self, value: Array) -> Array:
        rows, columns = (np.array(axis.filter) for axis in self._transforms(value.shape))
        stored = self.stored(value).astype(np.float64)
        transformed: Array = np.einsum("ir,js,rsbcl->ijbcl", rows, columns, stored, optimize=True)
        return transformed.astype(np.float32, order="C")

    def expansion(self, shape: Shape) -> SeparableMap:
        rows, columns = self._transforms(shape)
        return SeparableMap(rows.filter, columns.filter)

    def stored(self, value: Array) -> Array:
        split = value.reshape(*value.shape[:-1], -1, self.lanes)
        return np.ascontiguousarray(np.moveaxis(split, -2, 2))

    def _transforms(self, shape: Shape) -> tuple[Transforms, Transforms]:
        return transforms(self.tile[0], shape[0]), transforms(self.tile[1], shape[1])


def tiles(op: ops.Conv, window: Shape, channels: int, filters: int, lanes: int) -> tuple[Tile, ...]:
    """The tiles with which the convolution may be computed; none where it is not of the kind."""
    plain = set(op.strides) == set(op.dilation) == {1} and op.groups == 1 and not op.exact
    if not plain or len(window) != 2 or channels % lanes or filters % lanes:
        return ()
    return TILES.get((window[0], window[1]), ())


def winograd(op: ops.Conv, x: te.Tensor, kernel: te.Tensor, window: Shape, layout: Layout) -> Anchor:
    """Blocks `pad`, `rows_in` and `input` (B' d B), `conv` (the products), `rows_out` and `tile` (A' m A).

    Tiles are n, ty, tx. Block `tile` says in its annotations the `padding` above and left of the input, and the
    matrices: `input_rows` and `input_columns` for B', `output_rows` and `output_columns` for A'.
    """
    assert layout.winograd is not None
    vertical, horizontal = (transforms(*pair) for pair in zip(layout.winograd, window, strict=True))
    batch, height, width, channels = (int(extent) for extent in x.shape)
    (top, bottom), (left, right) = op.padding
    down = -(-(height + top + bottom - window[0] + 1) // vertical.outputs)
    across = -(-(width + left + right - window[1] + 1) // horizontal.outputs)
    blocks, lanes = int(kernel.shape[2]), int(kernel.shape[4])
    extents = (down * vertical.outputs, across * horizontal.outputs)
    source = padded(x, op.padding, extents, window, (1, 1), (1, 1), f32(0.0))
    rows_in = te.compute(
        (batch, down, across, channels, vertical.products, horizontal.products),
        lambda n, ty, tx, c, i, s: combine(
            vertical.input, i, lambda r: source(n, ty * vertical.outputs + r, tx * horizontal.outputs + s, c)
        ),
        name="rows_in",
    )
    transformed = te.compute(
        (vertical.products, horizontal.products, batch, down, across, channels),
        lambda i, j, n, ty, tx, c: combine(horizontal.input, j, lambda s: rows_in(n, ty, tx, c, i, s)),
        name="input",
    )
    channel = te.reduce_axis((0, channels), "c")
    products = te.compute(
        (vertical.products, horizontal.products, batch, down, across, blocks, lanes),
        lambda i, j, n, ty, tx, block, lane: te.sum(
            transformed(i, j, n, ty, tx, channel) * kernel(i, j, block, channel, lane), axis=[channel]
        ),
        name="conv",
    )
    rows_out = te.compute(
        (batch, down, across, blocks, vertical.outputs, horizontal.products, lanes),
        lambda n, ty, tx, block, u, j, lane: combine(
            vertical.output, u, lambda i: products(i, j, n, ty, tx, block, lane)
        ),
        name="rows_out",
    )
    tile = te.compute(
        (batch, down, across, blocks, vertical.outputs, horizontal.outputs, lanes),
        lambda n, ty, tx, block, u, v, lane: combine(
            horizontal.output, v, lambda j: rows_out(n, ty, tx, block, u, j, lane)
        ),
        name="tile",
        attrs={
            "padding": [top, left],
            "input_rows": _lists(vertical.input),
            "input_columns": _lists(horizontal.input),
            "output_rows": _lists(vertical.output),
            "output_columns": _lists(horizontal.output),
        },
    )

    def read(n: Expr, y: Expr, x: Expr, o: Expr) -> Expr:
        where = (n, y // vertical.outputs, x // horizontal.outputs, o // lanes)
        return tile(*where, y % vertical.outputs, x % horizontal.outputs, o % lanes)

    return read


def _lists(matrix: Matrix) -> list[list[float]]:
    return [list(row) for row in matrix]


def combine(matrix: Matrix, row: Expr, term: Any) -> Expr:
    """matrix[row] times the vector of term(0), term(1), …: a choice that goes when `row` is unrolled."""
    sums = []
    for coefficients in matrix:
        total = None
        for index, coefficient in enumerate(coefficients):
            if coefficient:
                product = term(index) if coefficient == 1 else term(index) * f32(coefficient)
                total = product if total is None else total + product
        sums.append(total)
    result = sums[-1]
    for index in reversed(range(len(sums) - 1)):
        result = tirx.Select(row == index, sums[index], result)
    return result
