"""A product of matrices in halves, with 7 products of quarters instead of 8.

Strassen's algorithm in Winograd's form (Higham, "Accuracy and Stability of Numerical Algorithms", section 23.1), one
level deep, as in Huang, Smith, Henry and van de Geijn, "Strassen's Algorithm Reloaded" (2016): quarters of the outputs
are those of a register tile, so that sums of products never leave the nearest cache. Halves of the rows are alternate
register tiles, halves of the filters alternate vectors. The weights' sums are made when the library is loaded, in
float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from tvm import te, tirx

from convc import ops
from convc.ir import Array, Shape
from convc.lower.anchor import Anchor, Packing, SeparableMap
from convc.lower.contraction import BLOCK
from convc.lower.cook_toom import Matrix
from convc.lower.layout import Layout, round_up
from convc.lower.math import Expr
from convc.lower.winograd import combine

PRODUCTS: Final = 7

INPUT: Final[Matrix] = (
    (1, 0, 0, 0),
    (0, 1, 0, 0),
    (1, 1, -1, -1),
    (0, 0, 0, 1),
    (0, 0, 1, 1),
    (-1, 0, 1, 1),
    (1, 0, -1, 0),
)
"""Left factors from the quarters (1, 1), (1, 2), (2, 1), (2, 2) of the input: halves of rows, then of channels."""

FILTER: Final[Matrix] = (
    (1, 0, 0, 0),
    (0, 0, 1, 0),
    (0, 0, 0, 1),
    (-1, 1, 1, -1),
    (-1, 1, 0, 0),
    (1, -1, 0, 1),
    (0, -1, 0, 1),
)
"""Right factors from the quarters of the weights: halves of channels, then of filters."""

OUTPUT: Final[Matrix] = (
    (1, 1, 0, 0, 0, 0, 0),
    (1, 0, 1, 0, 1, 1, 0),
    (1, 0, 0, 1, 0, 1, 1),
    (1, 0, 0, 0, 1, 1, 1),
)
"""Quarters of the outputs from the products."""


@dataclass(frozen=True)
class PackedStrassen(Packing):
    """1, …, C, O to 7 factors, blocks, C / 2, lanes; O is rounded up to pairs of blocks.

    The file holds the four quarters of the weights.
    """

    lanes: int

    def shape(self, shape: Shape) -> Shape:
        return (PRODUCTS, -(-shape[-1] // (2 * self.lanes)), shape[-2] // 2, self.lanes)

    def apply(self, value: Array) -> Array:
        factors: Array = np.einsum("pq,qbcl->pbcl", np.array(FILTER), self.stored(value).astype(np.float64))
        return factors.astype(np.float32, order="C")

    def expansion(self, shape: Shape) -> SeparableMap:
        return SeparableMap(((1.0,),), FILTER)

    def stored(self, value: Array) -> Array:
        _, blocks, half, lanes = self.shape(value.shape)
        depth, filters = value.shape[-2:]
        padded = np.pad(value.reshape(depth, filters), ((0, 0), (0, 2 * blocks * lanes - filters)))
        quarters = padded.reshape(2, half, blocks, 2, lanes).transpose(0, 3, 2, 1, 4)
        return np.ascontiguousarray(quarters.reshape(4, blocks, half, lanes))


def is_possible(op: ops.Conv, channels: int, filters: int, lanes: int) -> bool:
    """Whether a pointwise convolution may be computed so: halves of whole vectors, and sums that need no blocks."""
    return not op.exact and channels % 2 == 0 and channels // 2 <= 2 * BLOCK and filters >= 2 * lanes


def strassen(x: te.Tensor, kernel: te.Tensor, layout: Layout) -> Anchor:
    """Blocks `input` (left factors) and `conv` (the products), of domain product, n, row, block, lane.

    x is n, rows, C. The layout's columns are the rows of outputs of two register tiles. Behind the last row of x, it
    is read again; what comes of it is never stored.
    """
    products, blocks, half, lanes = (int(extent) for extent in kernel.shape)
    batch, rows = int(x.shape[0]), int(x.shape[1])
    tile = layout.columns // 2
    computed = round_up(rows, layout.columns)

    def quarter(n: Expr, row: Expr, channel: Expr, index: int) -> Expr:
        where = row // tile * layout.columns + index // 2 * tile + row % tile
        return x(n, where if computed == rows else tirx.min(where, rows - 1), channel + index % 2 * half)

    factors = te.compute(
        (products, batch, computed // 2, half),
        lambda p, n, row, c: combine(INPUT, p, lambda index: quarter(n, row, c, index)),
        name="input",
    )
    channel = te.reduce_axis((0, half), "c")
    result = te.compute(
        (products, batch, computed // 2, blocks, lanes),
        lambda p, n, row, block, lane: te.sum(
            factors(p, n, row, channel) * kernel(p, block, channel, lane), axis=[channel]
        ),
        name="conv",
    )

    def read(n: Expr, row: Expr, o: Expr) -> Expr:
        place = (n, row // layout.columns * tile + row % tile, o // (2 * lanes), o % lanes)
        quarter = row // tile % 2 * 2 + o // lanes % 2
        return combine(OUTPUT, quarter, lambda product: result(product, *place))

    return read
