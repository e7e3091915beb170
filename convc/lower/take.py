"""Reads at computed indices, never outside the buffer."""

from __future__ import annotations

from tvm import te, tirx

from convc import ops
from convc.ir import DType
from convc.lower.anchor import Anchor
from convc.lower.math import Expr
from convc.ops.take import missing


def take(op: ops.Take, x: te.Tensor, indices: te.Tensor) -> Anchor:
    """The index is read once per slice of `x`."""
    behind = op.axis + len(indices.shape)

    def read(*where: Expr) -> Expr:
        index = indices(*where[op.axis : behind])
        return _element(x, where[: op.axis], index, where[behind:])

    return read


def take_along(op: ops.TakeAlong, x: te.Tensor, indices: te.Tensor) -> Anchor:
    """The index is read for each element."""

    def read(*where: Expr) -> Expr:
        return _element(x, where[: op.axis], indices(*where), where[op.axis + 1 :])

    return read


def _element(x: te.Tensor, before: tuple[Expr, ...], index: Expr, behind: tuple[Expr, ...]) -> Expr:
    """x at the index, which counts from the end where it is negative. It is clamped, so the read needs no branch."""
    extent = int(x.shape[len(before)])
    wrapped = tirx.Select(index < 0, index + extent, index)
    clamped = te.max(te.min(wrapped, extent - 1), 0)
    absent = tirx.const(missing(DType(str(x.dtype))), x.dtype)
    return tirx.Select(tirx.all(wrapped >= 0, wrapped < extent), x(*before, clamped, *behind), absent)
