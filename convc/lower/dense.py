"""Dense layers and pointwise convolutions: a product with packed weights over rows of the input."""

from __future__ import annotations

from tvm import te

from convc.lower.anchor import Anchor, padded
from convc.lower.layout import Layout, round_up
from convc.lower.math import f32


def dense(x: te.Tensor, kernel: te.Tensor, layout: Layout, *, bounded: bool) -> Anchor:
    """Block `conv` with the domain n, row, block, lane; x is n, rows, I. Rows are rounded up to the layout's tile.

    The rows behind the input's last are read all the same and their results dropped: the memory plan owes those
    bytes. Where it cannot (`bounded`: the caller's own memory), a block `pad` copies the rows first.
    """
    blocks, depth, lanes = (int(extent) for extent in kernel.shape)
    rows = round_up(int(x.shape[1]), layout.columns)
    channel = te.reduce_axis((0, depth), "c")
    source = padded(x, [(0, 0)], (rows,), (1,), (1,), (1,), f32(0.0)) if bounded else x
    result = te.compute(
        (x.shape[0], rows, blocks, lanes),
        lambda n, row, block, lane: te.sum(source(n, row, channel) * kernel(block, channel, lane), axis=[channel]),
        name="conv",
    )
    return lambda n, row, o: result(n, row, o // lanes, o % lanes)
