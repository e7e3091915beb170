"""Convolution and dense layers: a tile of positions by filters, kept in vector registers over the sum."""

from __future__ import annotations

from math import prod
from typing import Any, ClassVar

from convc.schedules.cpu.tile import ConvKnobs, schedule_tile
from convc.schedules.rule import KernelView, Rule
from convc.target import Target

L2_SHARE = 0.5
"""Share of the L2 cache that weights may fill and still be there for the next tile."""

BROADCAST_CYCLES = 0.25
"""What a broadcast of one input element adds to a step although there are load ports to spare: measured."""

WEIGHT_CYCLES = 0.9
"""What a vector of weights from the L2 cache adds to a step: measured."""


class ConvRule(Rule):
    """Blocks `conv` and `out`, and maybe `pad`. Domain of `conv`: n, *spatial, block, lane; *window, channel."""

    name: ClassVar[str] = "conv"

    def applies(self, kernel: KernelView, target: Target) -> bool:
        return kernel.has("conv")

    def choose(self, kernel: KernelView, target: Target) -> ConvKnobs:
        (_, *spatial, blocks, lanes), taps = kernel.domain("conv")
        if kernel.has("partial"):
            taps = (*taps, *kernel.domain("partial")[1])
        rows = spatial[-2] if len(spatial) > 1 else 1
        best = min(
            _tiles(rows, spatial[-1], blocks, target.vector_registers),
            key=lambda tile: (_cycles(tile, spatial, blocks, prod(taps), kernel.has("pad"), len(taps) == 1), tile),
        )
        weights = blocks * lanes * prod(taps) * 4
        outside = weights > L2_SHARE * target.l2
        chunk = 1 if outside else _chunk(kernel, -(-rows // best[0]), best[0], target)
        rows, columns, vectors = best
        return ConvKnobs(rows=rows, columns=columns, vectors=vectors, filters_outside=outside, chunk=chunk)

    def schedule(self, kernel: KernelView, knobs: ConvKnobs, target: Target) -> Any:
        return schedule_tile(kernel, knobs, target)


def best_tile(spatial: list[int], blocks: int, depth: int, target: Target) -> tuple[int, int, int]:
    """The register tile (rows, columns, vectors) for products of `depth` over rounded rows and columns."""
    tiles = _tiles(spatial[0], spatial[1], blocks, target.vector_registers)
    return min(tiles, key=lambda tile: (_cycles(tile, spatial, blocks, depth, True, False), tile))


def _tiles(rows: int, columns: int, blocks: int, registers: int) -> list[tuple[int, int, int]]:
    """Register tiles (rows, columns, vectors) that leave registers for the operands."""
    room = registers - 4
    return [
        (r, c, v)
        for v in range(1, min(blocks, 8) + 1)
        if blocks % v == 0
        for r in range(1, min(rows, 8) + 1)
        for c in range(1, min(columns, room) + 1)
        if r * c * v <= room and (r == 1 or c == columns)
    ]


def _cycles(tile: tuple[int, int, int], spatial: list[int], blocks: int, depth: int, padded: bool, flat: bool) -> float:
    """Cycles of one core for the whole layer: two FMAs per cycle of 4 cycles' latency, what loads add to that, and
    the tile's store."""
    rows, columns, vectors = tile
    fma = rows * columns * vectors
    per_step = max(fma / 2, 4.0) + BROADCAST_CYCLES * rows * columns + WEIGHT_CYCLES * vectors
    height = spatial[-2] if len(spatial) > 1 else 1
    rounded = -(-height // rows) * -(-spatial[-1] // columns)
    copies = 1.1 if not padded and not flat and (height % rows or spatial[-1] % columns) else 1.0
    return rounded * (blocks / vectors) * (depth * per_step + 3.0 * fma) * copies


def _chunk(kernel: KernelView, tiles: int, rows: int, target: Target) -> int:
    """Row tiles per task: few enough for some tasks per thread, many enough that padded rows are not copied often."""
    if not kernel.has("pad"):
        return 1
    width = prod(kernel.domain("pad")[0][-2:]) * 4
    fitting = [
        c for c in range(1, tiles + 1) if c == 1 or (tiles / c >= 8 and c * rows * width <= L2_SHARE * target.l2)
    ]
    return max(fitting, key=lambda c: (-(-(-tiles // c) * c - tiles) if c > 1 else 0, c))
