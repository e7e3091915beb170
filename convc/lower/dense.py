"""Dense layers and pointwise convolutions: a product with packed weights over rows of the input."""

from __future__ import annotations

from collections.abc import Sequence

from tvm import te

from convc.lower.anchor import Anchor, padded
from convc.lower.contraction import contract
from convc.lower.layout import Layout, round_up
from convc.lower.math import Expr, f32


def dense(x: te.Tensor, kernel: te.Tensor, layout: Layout, *, bounded: bool) -> Anchor:
    """The blocks of `contract` over the domain n, row, block, lane; x is n, rows, I.

    Rows are rounded up to the layout's tile. The rows behind the input's last are read all the same and their results
    dropped: the memory plan owes those bytes. Where it cannot (`bounded`: the caller's own memory), a block `pad`
    copies the rows first.
    """
    blocks, depth, lanes = (int(extent) for extent in kernel.shape)
    rows = round_up(int(x.shape[1]), layout.columns)
    source = padded(x, [(0, 0)], (rows,), (1,), (1,), (1,), f32(0.0)) if bounded else x

    def product(indices: Sequence[Expr], _taps: Sequence[Expr], channel: Expr) -> Expr:
        n, row, block, lane = indices
        return source(n, row, channel) * kernel(block, channel, lane)

    result = contract((int(x.shape[0]), rows, blocks, lanes), (), depth, product, layout)
    return lambda n, row, o: result(n, row, o // lanes, o % lanes)
