"""Elements of buffers: what one read takes, and the place of an element by its number."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import tvm_ffi

Expr = Any
Buffer = Any

WARP = 32
"""Threads that run in step and can read each other's registers."""
BYTES = 16
"""What a thread reads or writes at once, at most."""


def size(buffer: Buffer) -> int:
    """Bytes of an element."""
    return int(tvm_ffi.dtype(str(buffer.dtype)).bits) // 8


def unravel(index: Expr, extents: Sequence[int]) -> list[Expr]:
    """Indices of element `index` of a tensor; the first one is not kept below its extent."""
    indices = []
    for axis in range(len(extents)):
        inner = prod(extents[axis + 1 :])
        at = index // inner if inner > 1 else index
        indices.append(at % extents[axis] if axis else at)
    return indices
