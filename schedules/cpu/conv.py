"""Convolution and dense layers: a tile of positions by filters, kept in vector registers over the sum."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any, ClassVar

from convc.schedules.cpu.tile import ConvKnobs, schedule_tile
from convc.schedules.rule import KernelView, Rule
from convc.target import Target

L2_SHARE = 0.5
"""Share of the L2 cache that weights may fill and still be there for the next tile."""

BROADCAST_CYCLES = 0.25
"""What a broadcast of one input element adds to a step on a CPU of two FMAs per cycle: measured."""

WEIGHT_CYCLES = 0.9
"""What a vector of weights from the L2 cache adds to a step there: measured."""

STORE_CYCLES = 3.0
"""What an accumulator's epilogue and store cost there."""

LATENCY = 4.0
"""Cycles from an FMA to the next one on the same accumulator."""

LOADS_PER_CYCLE = 2.0
"""Vectors and broadcasts that a CPU of one FMA per cycle reads from its L1 cache in a cycle."""

WEIGHT_READ_CYCLES = 2.2
"""What it takes to read a vector of weights from the L2 cache there, beside the FMAs: measured."""

HIDDEN_WEIGHT_CYCLES = 0.02
"""What a vector of weights adds to a step there all the same."""

WAYS = 8
"""Rows of a power of two of channels share a set of the L1 cache: so many of them do not push each other out."""

CONFLICT_COST = 1.02
"""Factor on a step over more rows than that; up to 1.3 where they do share a set: measured."""

OVERLAP = 12
"""Accumulators up to which a tile's end and the next one's beginning run beside each other: measured."""

END_CYCLES = 10.0
"""What each further accumulator adds to the end of a tile: measured."""

NARROW_GAIN = 0.97
"""Filters are in blocks of half a vector where that takes less than this share of the time."""

COPY_COST = 1.1
"""Factor on the time of a layer whose input has to be copied for its tiles alone."""

TASKS = 8
"""Chunks of rows to make at least: threads of any usual number get equal shares."""


class ConvRule(Rule[Target]):
    """Blocks `conv` and `out`, and maybe `pad`. Domain of `conv`: n, *spatial, block, lane; *window, channel."""

    name: ClassVar[str] = "conv"

    def applies(self, kernel: KernelView, target: Target) -> bool:
        return kernel.has("conv")

    def choose(self, kernel: KernelView, target: Target) -> ConvKnobs:
        (_, *spatial, blocks, lanes), taps = kernel.domain("conv")
        depth = prod(taps) * (prod(kernel.domain("partial")[1]) if kernel.has("partial") else 1)
        shape = _Shape((spatial[-2] if len(spatial) > 1 else 1, spatial[-1]), blocks, depth, lanes)
        rounds = kernel.has("pad") or len(taps) == 1
        tile = _best(shape, rounds, target)
        half, filters = target.lanes // 2, kernel.domain("out")[0][-1]
        narrow = replace(shape, blocks=-(-filters // half), lanes=half)
        if target.fma_per_cycle < 2 and lanes == target.lanes and prod(spatial) > 1 and narrow.blocks < 2 * blocks:
            other = _best(narrow, rounds, target)
            if _cycles(other, narrow, rounds, target) < NARROW_GAIN * _cycles(tile, shape, rounds, target):
                shape, tile = narrow, other
        rows, columns, vectors = tile
        outside = shape.blocks * shape.lanes * depth * 4 > L2_SHARE * target.l2
        chunk = 1 if outside else _chunk(kernel, -(-shape.extents[0] // rows), rows, target)
        return ConvKnobs(
            rows=rows,
            columns=columns,
            lanes=0 if shape.lanes == lanes else shape.lanes,
            vectors=vectors,
            filters_outside=outside,
            chunk=chunk,
        )

    def schedule(self, kernel: KernelView, knobs: ConvKnobs, target: Target) -> Any:
        return schedule_tile(kernel, knobs, target)


@dataclass(frozen=True)
class _Shape:
    """Sums of `depth` products at `extents` (rows, columns) positions, for filters in `blocks` of `lanes`."""

    extents: tuple[int, int]
    blocks: int
    depth: int
    lanes: int


def best_tile(spatial: list[int], blocks: int, depth: int, target: Target, *, rounds: bool) -> tuple[int, int, int]:
    """The register tile (rows, columns, vectors) for sums of `depth` products at the positions of `spatial`.

    `rounds`: positions may be rounded up to the tile without a copy of the input.
    """
    rows = spatial[-2] if len(spatial) > 1 else 1
    return _best(_Shape((rows, spatial[-1]), blocks, depth, target.lanes), rounds, target)


def _best(shape: _Shape, rounds: bool, target: Target) -> tuple[int, int, int]:
    tiles = _tiles(*shape.extents, shape.blocks, target.vector_registers)
    return min(tiles, key=lambda tile: (_cycles(tile, shape, rounds, target), tile))


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


def _cycles(tile: tuple[int, int, int], shape: _Shape, rounds: bool, target: Target) -> float:
    """Cycles of one core for the whole layer: a tile's steps and its end, for each tile."""
    (rows, columns, vectors), (height, width) = tile, shape.extents
    step, end = _two_units(tile) if target.fma_per_cycle >= 2 else _one_unit(tile, min(target.lanes / shape.lanes, 2))
    tiles = -(-height // rows) * -(-width // columns) * (shape.blocks / vectors)
    copies = COPY_COST if not rounds and (height % rows or width % columns) else 1.0
    return tiles * (shape.depth * step + end) * copies


def _two_units(tile: tuple[int, int, int]) -> tuple[float, float]:
    """Cycles of a step and of the end of a tile at two FMAs per cycle: loads compete with them, so that large tiles
    are the best."""
    rows, columns, vectors = tile
    fma = rows * columns * vectors
    step = max(fma / 2, LATENCY) + BROADCAST_CYCLES * rows * columns + WEIGHT_CYCLES * vectors
    return step, STORE_CYCLES * fma


def _one_unit(tile: tuple[int, int, int], rate: float) -> tuple[float, float]:
    """The same at `rate` FMAs per cycle, one of whole vectors or two of halves: loads are hidden behind them, and so is
    the end of a tile that is small enough to be in flight together with the next one's beginning. A cycle more than
    the latency keeps the unit busy."""
    rows, columns, vectors = tile
    fma = rows * columns * vectors
    loads = max((rows * columns + vectors) / LOADS_PER_CYCLE, WEIGHT_READ_CYCLES * vectors / rate)
    step = max(fma / rate, LATENCY + 1, loads) + HIDDEN_WEIGHT_CYCLES * vectors
    conflicts = CONFLICT_COST if rows * columns > WAYS else 1.0
    return step * conflicts, END_CYCLES / rate * max(fma - OVERLAP, 0)


def _chunk(kernel: KernelView, tiles: int, rows: int, target: Target) -> int:
    """Row tiles per task: few enough for some tasks per thread, many enough that padded rows are not copied often."""
    if not kernel.has("pad"):
        return 1
    width = prod(kernel.domain("pad")[0][-2:]) * 4
    cached = [c for c in range(1, tiles // TASKS + 1) if c * rows * width <= L2_SHARE * target.l2]
    return max((c for c in cached if tiles % c == 0), default=1)
