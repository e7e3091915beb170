"""Constant padding that no convolution could take in."""

from __future__ import annotations

from tvm import te

from convc import ops
from convc.lower.anchor import Anchor
from convc.lower.math import Expr, f32


def pad(op: ops.Pad, x: te.Tensor) -> Anchor:
    """Reads `x` where the index is inside, the value elsewhere."""

    def read(*indices: Expr) -> Expr:
        inside: list[Expr] = []
        for index, (low, high), extent in zip(indices, op.widths, x.shape, strict=True):
            if low:
                inside.append(index >= low)
            if high:
                inside.append(index < extent + low)
        moved = [index - low for index, (low, _) in zip(indices, op.widths, strict=True)]
        return te.if_then_else(te.all(*inside), x(*moved), f32(op.value)) if inside else x(*moved)

    return read
