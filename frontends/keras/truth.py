"""Truth values: Keras's bool, which is 1.0 or 0.0 in a float32 tensor here.

Which tensors hold them is read off the nodes. It matters where Keras treats them otherwise than numbers: two of them
add up to a truth value, and no output of a model may be one.
"""

from __future__ import annotations

import numpy as np

from convc import ops
from convc.ir import DType, Node, Origin, make

_KEEPING = (
    ops.Broadcast | ops.Concat | ops.Maximum | ops.Minimum | ops.Multiply | ops.Pad | ops.ReduceMax | ops.ReduceMin
    | ops.Reshape | ops.Slice | ops.Transpose
)  # fmt: skip
"""Ops that give truth values where all their inputs are."""


def is_truth(node: Node) -> bool:
    """Whether Keras has a bool where `node` is."""
    pending, seen = [node], set()
    while pending:
        node = pending.pop()
        if node in seen or isinstance(node.op, ops.Comparison):
            continue
        seen.add(node)
        if isinstance(node.op, ops.Where):
            pending += node.inputs[1:]
        elif isinstance(node.op, _KEEPING):
            pending += node.inputs
        else:
            return False
    return True


def truth(x: Node, origin: Origin) -> Node:
    """1 where `x` is not zero, 0 elsewhere."""
    return x if is_truth(x) else make(ops.NotEqual(), _float(x, origin), number(0, origin), origin=origin)


def negation(x: Node, origin: Origin) -> Node:
    """1 where `x` is zero, 0 elsewhere."""
    return make(ops.Equal(), _float(x, origin), number(0, origin), origin=origin)


def as_number(x: Node, origin: Origin) -> Node:
    """`x`, truth values as numbers that are added up like others."""
    return make(ops.Where(), x, number(1, origin), number(0, origin), origin=origin) if is_truth(x) else x


def number(value: float, origin: Origin) -> Node:
    """A constant vector of one."""
    return ops.constant(np.full(1, value, np.float32), origin)


def _float(x: Node, origin: Origin) -> Node:
    return x if x.type.dtype is DType.FLOAT32 else make(ops.Cast(DType.FLOAT32), x, origin=origin)
