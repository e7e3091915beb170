"""Winograd's convolution F(4x4, 3x3): 36 products instead of 144 for each tile of 4 x 4 outputs.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015): Y = A' [(G g G') * (B' d B)] A, with d a
tile of 6 x 6 inputs. The weights' part is done when the library is loaded, in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from tvm import te, tirx

from convc import ops
from convc.ir import Array, Shape
from convc.lower.anchor import Anchor, Packing, padded
from convc.lower.layout import Layout, round_up
from convc.lower.math import Expr, f32

TILE: Final = 4
"""Outputs of a tile along one axis."""

WINDOW: Final = TILE + 2
"""Inputs of a tile along one axis."""

INPUT: Final = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
"""B'."""

FILTER: Final = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
"""G."""

OUTPUT: Final = (
    (1, 1, 1, 1, 1, 0),
    (0, 1, -1, 2, -2, 0),
    (0, 1, 1, 4, 4, 0),
    (0, 1, -1, 8, -8, 1),
)
"""A'."""


@dataclass(frozen=True)
class PackedWinograd(Packing):
    """3, 3, C, O to 6, 6, blocks, C, lanes; O is a multiple of `lanes`.

    The file holds the untransformed 3, 3, blocks, C, lanes, a quarter of it.
    """

    lanes: int

    def shape(self, shape: Shape) -> Shape:
        return (WINDOW, WINDOW, shape[-1] // self.lanes, shape[-2], self.lanes)

    def apply(self, value: Array) -> Array:
        g = np.array(FILTER)
        stored = self.stored(value).astype(np.float64)
        transformed: Array = np.einsum("ir,js,rsbcl->ijbcl", g, g, stored, optimize=True)
        return transformed.astype(np.float32, order="C")

    @property
    def is_expanded(self) -> bool:
        return True

    def stored(self, value: Array) -> Array:
        split = value.reshape(*value.shape[:-1], -1, self.lanes)
        return np.ascontiguousarray(np.moveaxis(split, -2, 2))


def is_possible(op: ops.Conv, window: Shape, channels: int, filters: int, lanes: int) -> bool:
    """Whether the convolution is of the kind that this lowering computes."""
    plain = set(op.strides) == set(op.dilation) == {1} and op.groups == 1 and not op.exact
    return plain and window == (3, 3) and channels % lanes == 0 and filters % lanes == 0


def winograd(op: ops.Conv, x: te.Tensor, kernel: te.Tensor, layout: Layout) -> Anchor:
    """Blocks `pad`, `rows_in` and `input` (B' d B), `conv` (the products), `rows_out`; the other half of A is read.

    Tiles are n, ty, tx; tx is rounded up to the layout's columns.
    """
    batch, height, width, channels = (int(extent) for extent in x.shape)
    (top, bottom), (left, right) = op.padding
    down = -(-(height + top + bottom - 2) // TILE)
    across = round_up(-(-(width + left + right - 2) // TILE), layout.columns)
    blocks, lanes = int(kernel.shape[2]), int(kernel.shape[4])
    ones = (1, 1)
    source = padded(x, op.padding, (down * TILE, across * TILE), (3, 3), ones, ones, f32(0.0))
    rows_in = te.compute(
        (batch, down, across, channels, WINDOW, WINDOW),
        lambda n, ty, tx, c, i, s: _combine(INPUT, i, lambda r: source(n, ty * TILE + r, tx * TILE + s, c)),
        name="rows_in",
    )
    transformed = te.compute(
        (WINDOW, WINDOW, batch, down, across, channels),
        lambda i, j, n, ty, tx, c: _combine(INPUT, j, lambda s: rows_in(n, ty, tx, c, i, s)),
        name="input",
    )
    channel = te.reduce_axis((0, channels), "c")
    products = te.compute(
        (WINDOW, WINDOW, batch, down, across, blocks, lanes),
        lambda i, j, n, ty, tx, block, lane: te.sum(
            transformed(i, j, n, ty, tx, channel) * kernel(i, j, block, channel, lane), axis=[channel]
        ),
        name="conv",
    )
    rows_out = te.compute(
        (batch, down, across, blocks, TILE, WINDOW, lanes),
        lambda n, ty, tx, block, u, j, lane: _combine(OUTPUT, u, lambda i: products(i, j, n, ty, tx, block, lane)),
        name="rows_out",
    )

    def read(n: Expr, y: Expr, x: Expr, o: Expr) -> Expr:
        where = (n, y // TILE, x // TILE, o // lanes, y % TILE)
        return _combine(OUTPUT, x % TILE, lambda j: rows_out(*where, j, o % lanes))

    return read


def _combine(matrix: Sequence[Sequence[float]], row: Expr, term: Any) -> Expr:
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
