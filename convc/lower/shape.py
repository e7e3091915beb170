"""Transpose as an index permutation. A Reshape has no kernel: the memory plan makes it a view."""

from __future__ import annotations

from tvm import te

from convc import ops
from convc.lower.anchor import Anchor
from convc.lower.math import Expr


def transpose(op: ops.Transpose, x: te.Tensor) -> Anchor:
    """Output index i is input index permutation[i]."""

    def read(*indices: Expr) -> Expr:
        where = dict(zip(op.permutation, indices, strict=True))
        return x(*(where[axis] for axis in range(len(indices))))

    return read
