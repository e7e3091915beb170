"""Winograd's convolution: transforms and products of a chunk of tiles in one task, while they are in the cache."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

from convc.schedules.cpu.conv import best_tile
from convc.schedules.cpu.loops import parallel, vectorize
from convc.schedules.rule import KernelView, Knobs, Loop, Rule
from convc.target import Target

FLOPS_SHARE = 0.8
"""Share of the FMA peak that products reach, direct or not: measured."""

CACHE_BYTES = 6.0
"""Bytes per cycle of one core from the L2 cache, strided as the transforms are: measured."""

GAIN = 0.9
"""Winograd is chosen where the model says that it takes less than this share of the direct convolution's time."""

Tile = tuple[int, int]


@dataclass(frozen=True)
class WinogradKnobs(Knobs):
    """The register tile is rows x columns tiles x vectors; a task is `chunk` rows of tiles."""

    vectors: int = 1
    chunk: int = 1


class WinogradRule(Rule):
    """Blocks `rows_in`, `input`, `conv`, `rows_out` and `out`, maybe `pad`; before that, a convolution that could have
    them (the attribute `winograd`)."""

    name: ClassVar[str] = "winograd"
    exact: ClassVar[bool] = False

    def applies(self, kernel: KernelView, target: Target) -> bool:
        if "winograd" not in kernel.func.attrs:
            return False
        (window, *tiles), (channels, filters) = _choices(kernel), _channels(kernel)
        (batch, height, width, *_), _ = kernel.domain("conv")
        direct = 2 * prod(window) * channels * filters * batch * height * width / _flops(target)
        return min(_cycles(kernel, tile, target) for tile in tiles) < GAIN * direct

    def choose(self, kernel: KernelView, target: Target) -> WinogradKnobs:
        (window, *tiles), (channels, _) = _choices(kernel), _channels(kernel)
        (_, height, width, blocks, _), _ = kernel.domain("conv")
        tile = min(tiles, key=lambda tile: _cycles(kernel, tile, target))
        down, across = -(-height // tile[0]), -(-width // tile[1])
        rows, columns, vectors = best_tile([across], blocks, channels, target, rounds=True)
        per_row = _products(window, tile) * across * channels * 8
        fitting = [c for c in range(1, down + 1) if down % c == 0 and down // c >= 2 * target.cores]
        chunk = max((c for c in fitting if c * per_row <= target.l2 // 2), default=1)
        return WinogradKnobs(rows=rows, columns=columns, winograd=tile, vectors=vectors, chunk=chunk)

    def schedule(self, kernel: KernelView, knobs: WinogradKnobs, target: Target) -> Any:
        work = prod(kernel.extents("conv"))
        lanes = kernel.domain("conv")[0][-1]
        task = self._outputs(kernel, knobs, lanes, work)
        self._products(kernel, knobs, task, lanes)
        self._inputs(kernel, task, target)
        return kernel.func

    def _outputs(self, kernel: KernelView, knobs: WinogradKnobs, lanes: int, work: int) -> Loop:
        """Block `out` around everything: a task per chunk, then a tile's outputs from its products."""
        sch, out = kernel.sch, kernel.block("out")
        n, y, x, o = kernel.loops("out")
        assert knobs.winograd is not None
        chunk, down, u = sch.split(y, [None, knobs.chunk, knobs.winograd[0]])
        across, v = sch.split(x, [None, knobs.winograd[1]])
        block, lane = sch.split(o, [None, lanes])
        sch.reorder(n, chunk, down, across, block, u, v, lane)
        task = parallel(kernel, [n, chunk], work)
        rows = kernel.block("rows_out")
        sch.set_scope(rows, 0, "local")
        sch.compute_at(rows, block)
        for loop in kernel.loops("rows_out")[len(sch.get_loops(out)) - 3 : -1]:
            sch.unroll(loop)
        sch.vectorize(kernel.loops("rows_out")[-1])
        for loop in (u, v):
            sch.unroll(loop)
        sch.vectorize(lane)
        return task

    def _products(self, kernel: KernelView, knobs: WinogradKnobs, task: Loop, lanes: int) -> None:
        """Block `conv` for the task's chunk: 36 products of matrices, each by register tiles."""
        sch, block = kernel.sch, kernel.block("conv")
        sch.compute_at(block, task, preserve_unit_loops=True)
        i, j, n, down, across, filters, lane, channel = kernel.loops("conv")[1:]
        store = sch.cache_write(block, 0, "local")
        across, columns = sch.split(across, [None, knobs.columns])
        filters, vectors = sch.split(filters, [None, knobs.vectors])
        sch.reorder(i, j, n, down, across, filters, channel, columns, vectors, lane)
        sch.reverse_compute_at(store, filters)
        for loop in (columns, vectors):
            sch.unroll(loop)
        sch.vectorize(lane)
        copies = sch.get_loops(store)[len(sch.get_loops(block)) - 4 :]
        for loop in copies[:-1]:
            sch.unroll(loop)
        sch.vectorize(copies[-1])
        sch.decompose_reduction(block, channel)

    def _inputs(self, kernel: KernelView, task: Loop, target: Target) -> None:
        """Blocks `input`, `rows_in` and `pad` for the task's chunk, a vector of channels of a tile at a time."""
        sch = kernel.sch
        sch.compute_at(kernel.block("input"), task, preserve_unit_loops=True)
        i, j, n, down, across, channel = kernel.loops("input")[1:]
        channel, lane = sch.split(channel, [None, target.lanes])
        sch.reorder(n, down, across, channel, i, j, lane)
        sch.set_scope(kernel.block("rows_in"), 0, "local")
        sch.compute_at(kernel.block("rows_in"), channel, preserve_unit_loops=True)
        inner = kernel.loops("rows_in")[5:]
        *_, lane_in, row, column = inner
        sch.reorder(row, column, lane_in)
        for loop in (i, j, row, column):
            sch.unroll(loop)
        sch.vectorize(lane)
        sch.vectorize(lane_in)
        if kernel.has("pad"):
            sch.compute_at(kernel.block("pad"), task)
            vectorize(kernel, kernel.loops("pad")[-1], target.lanes)


def _choices(kernel: KernelView) -> list[Tile]:
    """The window, and the tiles that the lowering offers for it."""
    return [(int(pair[0]), int(pair[1])) for pair in kernel.func.attrs["winograd"]]


def _products(window: Tile, tile: Tile) -> int:
    """Multiplications for a tile, of one channel by one filter."""
    return prod(outputs + taps - 1 for outputs, taps in zip(tile, window, strict=True))


def _flops(target: Target) -> float:
    """Operations per cycle of all cores."""
    return 2 * target.fma_per_cycle * target.lanes * FLOPS_SHARE * target.cores


def _cycles(kernel: KernelView, tile: Tile, target: Target) -> float:
    """Cycles of all cores together for the convolution in such tiles: multiplications, and bytes."""
    (window, *_), (channels, filters) = _choices(kernel), _channels(kernel)
    (batch, height, width, *_), _ = kernel.domain("conv")
    products = _products(window, tile)
    tiles = batch * -(-height // tile[0]) * -(-width // tile[1])
    weights = products * channels * filters * 4
    moved = products * tiles * (channels + filters) * 8 / target.cores
    traffic = weights / (CACHE_BYTES if weights <= target.l2 // 2 else target.memory_bytes) + moved / CACHE_BYTES
    return 2 * products * channels * filters * tiles / _flops(target) + traffic


def _channels(kernel: KernelView) -> tuple[int, int]:
    """Channels and filters of the direct convolution that the kernel still is when a rule is chosen."""
    (*_, blocks, lanes), taps = kernel.domain("conv")
    partial = prod(kernel.domain("partial")[1]) if kernel.has("partial") else 1
    return prod(taps) * partial // prod(_choices(kernel)[0]), blocks * lanes
