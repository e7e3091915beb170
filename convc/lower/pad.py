"""Constant padding that no convolution could take in."""

from __future__ import annotations

from tvm import te, tirx

from convc.ir import DType
from convc.lower.anchor import Anchor
from convc.lower.math import Expr
from convc.ops.window import Padding


def pad(widths: Padding, value: float, x: te.Tensor) -> Anchor:
    """Reads `x` where the index is inside, the value elsewhere."""
    fill = tirx.const(int(value) if str(x.dtype) == DType.INT32.value else value, x.dtype)

    def read(*indices: Expr) -> Expr:
        inside: list[Expr] = []
        for index, (low, high), extent in zip(indices, widths, x.shape, strict=True):
            if low:
                inside.append(index >= low)
            if high:
                inside.append(index < extent + low)
        moved = [index - low for index, (low, _) in zip(indices, widths, strict=True)]
        return te.if_then_else(te.all(*inside), x(*moved), fill) if inside else x(*moved)

    return read
