"""A slice as arithmetic on indices."""

from __future__ import annotations

from tvm import te

from convc.ir import Shape
from convc.lower.anchor import Anchor
from convc.lower.math import Expr


def slice_(starts: Shape, steps: Shape, x: te.Tensor) -> Anchor:
    """Reads `x` at start + index * step."""

    def read(*indices: Expr) -> Expr:
        return x(*(start + index * step for start, index, step in zip(starts, indices, steps, strict=True)))

    return read
