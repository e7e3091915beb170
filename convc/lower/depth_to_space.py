"""Channels spread over blocks of space, as an index into the channels."""

from __future__ import annotations

from tvm import te

from convc import ops
from convc.lower.anchor import Anchor
from convc.lower.math import Expr


def depth_to_space(op: ops.DepthToSpace, x: te.Tensor, channels: int) -> Anchor:
    """Position p of an axis is place p % block of element p // block, the crop at the start counted in."""

    def read(n: Expr, *indices: Expr) -> Expr:
        *position, c = indices
        where, place = [], 0
        for p, block, (low, _) in zip(position, op.block, op.crop, strict=True):
            moved = p + low if low else p
            where.append(moved // block if block > 1 else moved)
            place = place * block + (moved % block if block > 1 else 0)
        return x(n, *where, place * channels + c)

    return read
