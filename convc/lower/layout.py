"""How a kernel's tensors are laid out: what the schedule's register tile asks of the lowering."""

from __future__ import annotations

from dataclasses import dataclass

Tile = tuple[int, int]
"""Outputs of a tile of Winograd's convolution along rows and columns."""


@dataclass(frozen=True)
class Layout:
    """The register tile that a contraction is laid out for.

    Filters are packed in blocks of `lanes`; the last two spatial output extents are computed up to multiples of
    `rows` and `columns` (the surplus is never stored). `winograd`: by Winograd's algorithm in such tiles, `columns` of
    them.
    """

    lanes: int
    rows: int = 1
    columns: int = 1
    winograd: Tile | None = None


def whole_vectors(channels: int, lanes: int) -> int:
    """`channels` with as many more as make whole vectors of `lanes`, or of half as many where those fit as they are."""
    if channels % lanes == 0 or channels % max(lanes // 2, 1) == 0:
        return channels
    return round_up(channels, min(lanes, 1 << (channels - 1).bit_length()))


def round_up(extent: int, multiple: int) -> int:
    """The smallest multiple of `multiple` that is at least `extent`."""
    return -(-extent // multiple) * multiple
