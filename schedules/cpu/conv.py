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

STORE_CYCLES = 3.0
"""What an accumulator's epilogue and store cost."""

COPY_COST = 1.1
"""Factor on the time of a layer whose input has to be copied for its tiles alone."""

TASKS = 8
"""Chunks of rows to make at least: threads of any usual number get equal shares."""


class ConvRule(Rule):
    """Blocks `conv` and `out`, and maybe `pad`. Domain of `conv`: n, *spatial, block, lane; *window, channel."""

    name: ClassVar[str] = "conv"

    def applies(self, kernel: KernelView, target: Target) -> bool:
        return kernel.has("conv")

    def choose(self, kernel: KernelView, target: Target) -> ConvKnobs:
        (_, *spatial, blocks, lanes), taps = kernel.domain("conv")
        depth = prod(taps) * (prod(kernel.domain("partial")[1]) if kernel.has("partial") else 1)
        rounds = kernel.has("pad") or len(taps) == 1
        rows, columns, vectors = best_tile(spatial, blocks, depth, target, rounds=rounds)
        outside = blocks * lanes * depth * 4 > L2_SHARE * target.l2
        height = spatial[-2] if len(spatial) > 1 else 1
        chunk = 1 if outside else _chunk(kernel, -(-height // rows), rows, target)
        return ConvKnobs(rows=rows, columns=columns, vectors=vectors, filters_outside=outside, chunk=chunk)

    def schedule(self, kernel: KernelView, knobs: ConvKnobs, target: Target) -> Any:
        return schedule_tile(kernel, knobs, target)


def best_tile(spatial: list[int], blocks: int, depth: int, target: Target, *, rounds: bool) -> tuple[int, int, int]:
    """The register tile (rows, columns, vectors) for sums of `depth` products at the positions of `spatial`.

    `rounds`: positions may be rounded up to the tile without a copy of the input.
    """
    rows = spatial[-2] if len(spatial) > 1 else 1
    tiles = _tiles(rows, spatial[-1], blocks, target.vector_registers)
    return min(tiles, key=lambda tile: (_cycles(tile, rows, spatial[-1], blocks, depth, rounds), tile))


def _tiles(rows: int, columns: int, blocks: int, registers: int) -> list[tuple[int, int, int]]:
    """Register tiles (rows, columns, vectors) that leave registers for the operands: `vectors` of weights, and an
    input element's broadcast, which is an operand in memory where one multiplication needs it."""
    return [
        (r, c, v)
        for v in range(1, min(blocks, 8) + 1)
        if blocks % v == 0
        for r in range(1, min(rows, 8) + 1)
        for c in range(1, min(columns, registers) + 1)
        if r * c * v <= min(registers - 4, registers - 1 - v) and (r == 1 or c == columns)
    ]


def _cycles(tile: tuple[int, int, int], height: int, width: int, blocks: int, depth: int, rounds: bool) -> float:
    """Cycles of one core for the whole layer: two FMAs per cycle of 4 cycles' latency, what loads add to that, and
    the tile's store."""
    rows, columns, vectors = tile
    fma = rows * columns * vectors
    per_step = max(fma / 2, 4.0) + BROADCAST_CYCLES * rows * columns + WEIGHT_CYCLES * vectors
    tiles = -(-height // rows) * -(-width // columns) * (blocks / vectors)
    copies = COPY_COST if not rounds and (height % rows or width % columns) else 1.0
    return tiles * (depth * per_step + STORE_CYCLES * fma) * copies


def _chunk(kernel: KernelView, tiles: int, rows: int, target: Target) -> int:
    """Row tiles per task: few enough for some tasks per thread, many enough that padded rows are not copied often."""
    if not kernel.has("pad"):
        return 1
    width = prod(kernel.domain("pad")[0][-2:]) * 4
    cached = [c for c in range(1, tiles // TASKS + 1) if c * rows * width <= L2_SHARE * target.l2]
    return max((c for c in cached if tiles % c == 0), default=1)
