"""The loops around a convolution's register tile, in one of three orders."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from tvm import tirx

from convc.schedules.cpu.loops import parallel, simple, store_tile, vectorize
from convc.schedules.cpu.prefetch import prefetch
from convc.schedules.rule import KernelView, Knobs, Loop
from convc.target import Target

WEIGHTS = 1
"""Position of the packed weights among the kernel's parameters."""


@dataclass(frozen=True)
class ConvKnobs(Knobs):
    """The register tile is rows x columns x vectors accumulators.

    `filters_outside`: filters are the outer loop, so that weights are read once and the input again for each strip
    of filters; else positions are, `chunk` tiles of rows at a time to a thread.
    """

    vectors: int = 1
    filters_outside: bool = False
    chunk: int = 1


@dataclass(frozen=True)
class _Loops:
    """The loops of block `conv`, split by the knobs."""

    batch: Loop
    chunks: list[Loop]
    """Spatial axes up to the chunk of rows."""
    steps: list[Loop]
    """Tiles inside a chunk: rows, if there are any, and columns."""
    strips: Loop
    reduction: list[Loop]
    tile: list[Loop]
    """Inside the tile: rows, if there are any, columns, vectors, and lanes."""
    rank: int
    """Number of axes of the block's domain; the last one is the lanes."""
    lanes: int


def schedule_tile(kernel: KernelView, knobs: ConvKnobs, target: Target) -> Any:
    """The scheduled function: blocks `conv` and `out`, where there are any `partial` and `pad`."""
    long = kernel.has("partial")
    spatial, _ = kernel.domain("conv")
    work = prod(kernel.extents("partial" if long else "conv")) // target.lanes
    loops = _split(kernel, knobs, spatial)
    kernel.sch.set_scope(kernel.block("conv"), 0, "global" if long else "local")
    if knobs.filters_outside:
        if kernel.has("pad"):
            simple(kernel, kernel.block("pad"), target)
        return _blocked(kernel, knobs, loops, work) if long else _filters_outside(kernel, knobs, loops, work)
    return _positions_outside(kernel, loops, work, target)


def _split(kernel: KernelView, knobs: ConvKnobs, domain: tuple[int, ...]) -> _Loops:
    sch, loops, rank, lanes = kernel.sch, kernel.loops("conv"), len(domain), domain[-1]
    batch, *space, filters, lane = loops[:rank]
    column, columns = sch.split(space[-1], [None, knobs.columns])
    strips, vectors = sch.split(filters, [None, knobs.vectors])
    if len(space) == 1:
        return _Loops(batch, [], [column], strips, loops[rank:], [columns, vectors, lane], rank, lanes)
    chunk, row, rows = sch.split(space[-2], [None, knobs.chunk, knobs.rows])
    tile = [rows, columns, vectors, lane]
    return _Loops(batch, [*space[:-2], chunk], [row, column], strips, loops[rank:], tile, rank, lanes)


def _positions_outside(kernel: KernelView, loops: _Loops, work: int, target: Target) -> Any:
    """Tasks are chunks of rows, with the padding that they read; weights stay in the L2 cache.

    Where there are no rows, the input is padded beforehand: neighbouring tiles share most of what they read.
    """
    sch = kernel.sch
    pads = kernel.has("pad") and bool(loops.chunks)
    if kernel.has("pad") and not pads:
        simple(kernel, kernel.block("pad"), target)
    order = [loops.batch, *loops.chunks, *loops.steps, loops.strips]
    sch.reorder(*order, *loops.reduction, *loops.tile)
    tasks = 1 + len(loops.chunks) if pads else len(order)
    task = parallel(kernel, order[:tasks], work)
    innermost = order[-1] if tasks < len(order) else task
    sch.reverse_compute_at(kernel.block("out"), innermost)
    around = 1 + len(order) - tasks
    if kernel.has("partial"):
        sch.compute_at(kernel.block("partial"), loops.reduction[-1], preserve_unit_loops=True)
        _partial_sums(kernel, loops, around + len(loops.reduction))
    if pads:
        sch.compute_at(kernel.block("pad"), task)
        vectorize(kernel, kernel.loops("pad")[-1], target.lanes)
    store_tile(kernel, around, loops.lanes)
    return _finish(kernel, loops)


def _filters_outside(kernel: KernelView, knobs: ConvKnobs, loops: _Loops, work: int) -> Any:
    """Tasks are tiles, all of a strip of filters in a row: weights are read once, the next strip's ahead of time."""
    sch = kernel.sch
    positions = [*loops.chunks, *loops.steps]
    tiles = prod(kernel.extent(loop) for loop in positions)
    strips = kernel.extent(loops.strips)
    order = [loops.batch, loops.strips, *positions]
    sch.reorder(*order, *loops.reduction, *loops.tile)
    task = parallel(kernel, order, work)
    sch.reverse_compute_at(kernel.block("out"), task)
    store_tile(kernel, 1, loops.lanes)
    counter = sch.get(task).loop_var
    strip = tirx.floormod(tirx.floordiv(counter, tiles), strips)
    block = (strip + 1) * knobs.vectors + tirx.floormod(tirx.floormod(counter, tiles), knobs.vectors)
    taps = [sch.get(loop).loop_var for loop in loops.reduction]
    func = _finish(kernel, loops)
    return prefetch(func, taps[-1], func.params[WEIGHTS], [block, *taps, 0])


def _blocked(kernel: KernelView, knobs: ConvKnobs, loops: _Loops, work: int) -> Any:
    """Tasks are strips of filters; each block of the sum goes over all positions before the next one, so that its
    weights are read from the L2 cache, where they were fetched during the block before."""
    sch = kernel.sch
    positions = [*loops.chunks, *loops.steps]
    strips = kernel.extent(loops.strips)
    sch.reorder(loops.batch, loops.strips, *loops.reduction, *positions, *loops.tile)
    task = parallel(kernel, [loops.batch, loops.strips], work)
    sch.reverse_compute_at(kernel.block("out"), task)
    vectorize(kernel, kernel.loops("out")[-1], loops.lanes)
    sch.compute_at(kernel.block("partial"), positions[-1], preserve_unit_loops=True)
    inner = _partial_sums(kernel, loops, 1 + len(loops.reduction) + len(positions))
    tile = sch.get(loops.steps[-1]).loop_var
    if len(loops.steps) > 1:
        tile = sch.get(loops.steps[0]).loop_var * kernel.extent(loops.steps[-1]) + tile
    strip = tirx.floormod(sch.get(task).loop_var, strips)
    block = strip * knobs.vectors + tirx.floormod(tile, knobs.vectors)
    outer = [sch.get(loop).loop_var for loop in loops.reduction]
    taps = [o * kernel.extent(i) + sch.get(i).loop_var for o, i in zip(outer, inner, strict=True)]
    taps[-1] = taps[-1] + prod(kernel.extent(loop) for loop in inner)
    func = _finish(kernel, loops)
    return prefetch(func, sch.get(inner[-1]).loop_var, func.params[WEIGHTS], [block, *taps, 0])


def _partial_sums(kernel: KernelView, loops: _Loops, outer: int) -> list[Loop]:
    """The block `partial` inside its `outer` loops: the sum around the unrolled tile. Returns the sum's loops."""
    sch = kernel.sch
    summed = len(kernel.domain("partial")[1])
    inside = kernel.loops("partial")[outer:]
    tile, reduction = inside[:-summed], inside[-summed:]
    lane = tile.pop(loops.rank - 1)
    sch.set_scope(kernel.block("partial"), 0, "local")
    sch.reorder(*reduction, *tile, lane)
    for loop in tile:
        sch.unroll(loop)
    sch.vectorize(lane)
    sch.decompose_reduction(kernel.block("partial"), reduction[0])
    return reduction


def _finish(kernel: KernelView, loops: _Loops) -> Any:
    """Unrolls the tile and sets it to zero before the sum."""
    sch = kernel.sch
    for loop in loops.tile[:-1]:
        sch.unroll(loop)
    sch.vectorize(loops.tile[-1])
    sch.decompose_reduction(kernel.block("conv"), loops.reduction[0])
    return kernel.func
