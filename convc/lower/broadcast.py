"""Repetition along axes: an index that does not matter."""

from __future__ import annotations

from tvm import te

from convc.lower.anchor import Anchor
from convc.lower.arithmetic import broadcast
from convc.lower.math import Expr


def repeat(x: te.Tensor) -> Anchor:
    """Reads `x` at the indices of the axes that it has."""
    shape = tuple(int(extent) for extent in x.shape)

    def read(*indices: Expr) -> Expr:
        return x(*broadcast(shape, indices))

    return read
