"""Integers of less than 32 bits: tensors of INT32 hold them, but sums of them wrap around elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from convc import ops
from convc.errors import UnsupportedError
from convc.ir import DType, Node
from convc.ops.source import NarrowInput

_KEEPING = (
    ops.Broadcast | ops.Concat | ops.Maximum | ops.Minimum | ops.Pad | ops.Pick | ops.ReduceMax | ops.ReduceMin
    | ops.Reshape | ops.Slice | ops.Transpose | ops.Where
)  # fmt: skip
"""Ops whose elements are elements of their inputs."""


def check_wrapping(made: Sequence[Node], given: Sequence[Node]) -> None:
    """Raises `UnsupportedError` with an empty subject where a call computes with narrow ones of the given nodes."""
    if not any(is_narrow(node) for node in given):
        return
    pending, seen = list(made), set(given)
    while pending:
        node = pending.pop()
        if node in seen:
            continue
        seen.add(node)
        pending += node.inputs
        computes = node.type.dtype is DType.INT32 and not isinstance(node.op, _KEEPING | ops.Cast | ops.Constant)
        if computes and any(is_narrow(source) for source in node.inputs):
            raise UnsupportedError(
                "",
                "integers of less than 32 bits wrap around in Keras",
                expected="int32 or floating point",
                remedy="convert them first, by keras.ops.cast(x, 'int32')",
            )


def is_narrow(node: Node) -> bool:
    """Whether elements of `node` are those of an input of less than 32 bits."""
    pending, seen = [node], set()
    while pending:
        node = pending.pop()
        if node in seen or node.type.dtype is not DType.INT32:
            continue
        seen.add(node)
        if isinstance(node.op, NarrowInput):
            return True
        if isinstance(node.op, _KEEPING):
            pending += node.inputs
    return False
