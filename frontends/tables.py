"""Resampling by tables: the nodes that apply them, and what tables have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from convc import ops
from convc.errors import UnsupportedError
from convc.ir import Array, Node, Origin, make

TABLE_LIMIT: Final = 1 << 22
"""Entries of a table, at most; more are taken for an attack or a mistake."""


def resample(x: Node, tables: Mapping[int, tuple[Array, Array | None]], origin: Origin) -> Node:
    """`x` by the indices and weights of each axis, where they change it; without weights, the largest of the elements.

    The axes are in order, all with weights or all without.
    """
    left = [(axis, own) for axis, own in tables.items() if not _is_identity(*own, x.type.shape[axis])]
    while left:
        neighbours = len(left) > 1 and left[1][0] == left[0][0] + 1
        # Of three axes the last two go together: what lies between two steps is smallest after the first.
        count = 2 if neighbours and len(left) != 3 else 1
        part, left = left[:count], left[count:]
        constants = [ops.constant(table, origin) for _, own in part for table in own if table is not None]
        axes = tuple(axis for axis, _ in part)
        op = ops.ResampleMax(axes) if part[0][1][1] is None else ops.ResampleSum(axes)
        x = make(op, x, *constants, origin=origin)
    return x


def trimmed(first: Array, values: Array, extent: int) -> tuple[Array, Array]:
    """The table of windows that begin at `first`, in as few taps as hold every weight."""
    used = values.astype(np.float32) != 0
    lead = used.argmax(axis=1)
    behind = used[:, ::-1].argmax(axis=1)
    taps = int((values.shape[1] - behind - lead).max())
    start = np.minimum(first + lead, extent - taps)
    surplus = np.pad(values, [(0, 0), (0, taps)])
    places = (start - first)[:, None] + np.arange(taps)
    trimmed = np.take_along_axis(surplus, places, axis=1).astype(np.float32)
    return (start[:, None] + np.arange(taps)).astype(np.int32), trimmed


def check_table(entries: int, extent: int) -> None:
    """Raises `UnsupportedError` with an empty subject for a table that is too large, or indices that no int32 holds."""
    if extent >= 1 << 31:
        raise UnsupportedError("", "the input is too large", expected="an axis below 2**31", received=str(extent))
    if entries > TABLE_LIMIT:
        raise UnsupportedError(
            "", "the size is too large", expected=f"a table of at most {TABLE_LIMIT} weights", received=str(entries)
        )


def _is_identity(indices: Array, own: Array | None, extent: int) -> bool:
    same = indices.shape == (extent, 1) and bool((indices[:, 0] == np.arange(extent)).all())
    return same and (own is None or bool((own == 1).all()))
