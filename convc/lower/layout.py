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
    them; `strassen`: by Strassen's, `columns` being the rows of two register tiles.

    `threads`: for the scalar threads of a GPU, which have no lanes. Sums are one block each, as it is the schedule that
    spreads them over threads; filters are one block per group, and operands are read as they are.
    """

    lanes: int
    rows: int = 1
    columns: int = 1
    winograd: Tile | None = None
    strassen: bool = False
    threads: bool = False


def round_up(extent: int, multiple: int) -> int:
    """The smallest multiple of `multiple` that is at least `extent`."""
    return -(-extent // multiple) * multiple
