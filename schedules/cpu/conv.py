"""Convolution and dense layers: a tile of positions by filters, kept in vector registers over the sum."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from convc.schedules.cpu.loops import parallel, simple, store_tile, vectorize
from convc.schedules.rule import KernelView, Knobs, Rule
from convc.target import Target

L2_SHARE = 0.5
"""Share of the L2 cache that weights may fill and still be there for the next tile."""

BROADCAST_CYCLES = 0.25
"""What a broadcast of one input element adds to a step although there are load ports to spare: measured."""

WEIGHT_CYCLES = 0.9
"""What a vector of weights from the L2 cache adds to a step: measured."""


@dataclass(frozen=True)
class ConvKnobs(Knobs):
    """The register tile is rows x columns x vectors accumulators.

    `filters_outside`: filters are the outer loop, so that weights are read once and the input again for each strip
    of filters; else positions are, `chunk` tiles of rows at a time to a thread.
    """

    vectors: int = 1
    filters_outside: bool = False
    chunk: int = 1


class ConvRule(Rule):
    """Blocks `conv` and `out`, and maybe `pad`. Domain of `conv`: n, *spatial, block, lane; *window, channel."""

    name: ClassVar[str] = "conv"

    def applies(self, kernel: KernelView) -> bool:
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
        return ConvKnobs(best[0], best[1], best[2], outside, chunk)

    def schedule(self, kernel: KernelView, knobs: ConvKnobs, target: Target) -> None:
        sch, block, out = kernel.sch, kernel.block("conv"), kernel.block("out")
        long = kernel.has("partial")
        work = prod(kernel.extents("partial" if long else "conv")) // target.lanes
        spatial, _ = kernel.domain("conv")
        loops = kernel.loops("conv")
        n, *space, filters, lane = loops[: len(spatial)]
        *outer, column = space
        reduction = loops[len(spatial) :]
        column, columns = sch.split(column, [None, knobs.columns])
        filters, vectors = sch.split(filters, [None, knobs.vectors])
        tile = [columns, vectors, lane]
        if outer:
            chunk, row, rows = sch.split(outer[-1], [None, knobs.chunk, knobs.rows])
            outer, tile = [*outer[:-1], chunk], [rows, *tile]
            inside = [row]
        else:
            inside = []
        padded = kernel.has("pad")
        if knobs.filters_outside:
            order = [n, filters, *outer, *inside, column]
            fused_count = len(order)
        else:
            order = [n, *outer, *inside, column, filters]
            fused_count = 1 + len(outer) if padded else len(order)
        sch.reorder(*order, *reduction, *tile)
        task = parallel(kernel, order[:fused_count], work)
        innermost = order[-1] if fused_count < len(order) else task
        sch.set_scope(block, 0, "global" if long else "local")
        sch.reverse_compute_at(out, innermost)
        around = 1 + len(order) - fused_count
        if long:
            sch.set_scope(kernel.block("partial"), 0, "local")
            sch.compute_at(kernel.block("partial"), reduction[-1], preserve_unit_loops=True)
            _partial_sums(kernel, around + len(reduction), len(spatial))
        if padded:
            pad = kernel.block("pad")
            if knobs.filters_outside:
                simple(kernel, pad, target)
            else:
                sch.compute_at(pad, task)
                vectorize(kernel, sch.get_loops(pad)[-1], target.lanes)
        store_tile(kernel, around, spatial[-1])
        for loop in tile[:-1]:
            sch.unroll(loop)
        sch.vectorize(lane)
        sch.decompose_reduction(block, reduction[0])


def _partial_sums(kernel: KernelView, outer: int, rank: int) -> None:
    """The block `partial` inside its `outer` loops: the sum around the tile, which is unrolled; lanes are axis
    `rank` - 1 of its domain."""
    sch = kernel.sch
    loops = kernel.loops("partial")[outer:]
    summed = len(kernel.domain("partial")[1])
    tile, reduction = loops[:-summed], loops[-summed:]
    lane = tile.pop(rank - 1)
    sch.reorder(*reduction, *tile, lane)
    for loop in tile:
        sch.unroll(loop)
    sch.vectorize(lane)
    sch.decompose_reduction(kernel.block("partial"), reduction[0])


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
