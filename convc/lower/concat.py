"""Concatenation: each output element is read from the input that covers it."""

from __future__ import annotations

from collections.abc import Sequence

from tvm import te

from convc.lower.anchor import Anchor
from convc.lower.math import Expr


def concat(axis: int, inputs: Sequence[te.Tensor]) -> Anchor:
    """A chain of conditions on the position along the axis."""
    sizes = [int(x.shape[axis]) for x in inputs]
    starts = [sum(sizes[:i]) for i in range(len(sizes))]

    def read(*indices: Expr) -> Expr:
        position = indices[axis]

        def element(x: te.Tensor, start: int) -> Expr:
            return x(*indices[:axis], position - start, *indices[axis + 1 :])

        value = element(inputs[-1], starts[-1])
        for x, start, end in reversed(list(zip(inputs[:-1], starts, starts[1:], strict=False))):
            value = te.if_then_else(position < end, element(x, start), value)
        return value

    return read
