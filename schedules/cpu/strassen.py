"""Strassen's product: the input's sums beforehand, then all products of a register tile's quarters in one task."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, prod
from typing import Any, ClassVar

from tvm import tirx

from convc.schedules.cpu.conv import LATENCY
from convc.schedules.cpu.loops import parallel
from convc.schedules.cpu.prefetch import prefetch
from convc.schedules.cpu.tile import WEIGHTS
from convc.schedules.rule import KernelView, Knobs, Loop, Rule
from convc.target import Target

PRODUCTS = 7

GAIN = 0.95
"""Strassen's product is chosen where the model says that it takes less than this share of the plain one's time."""

FACTOR_CYCLES = 1.25
"""What reading an input and writing its share of the seven left factors costs: measured."""

END_CYCLES = 9.0
"""What an accumulator's start, its way through the L1 cache and its part in the outputs cost for each product beyond
what its output costs anyway: fitted to layers of 14 x 14 and 28 x 28 positions; a profile had up to 17 in all."""

ROW_STRIDE = (128, 16)
"""Elements from one row of left factors to the next: 16 more than a multiple of 128, so that the rows of a tile do not
fall into the same set of the L1 cache."""

EXPOSED = 0.35
"""Share of the time to read from behind the L2 cache what right factors have more than weights that prefetches do not
hide: fitted, so that layers of 7 x 7 positions, which gained nothing in whole models, stay plain."""


@dataclass(frozen=True)
class StrassenKnobs(Knobs):
    """A quarter of a register tile is columns / 2 rows of outputs x vectors. `streams`: weights come from behind the L2
    cache."""

    vectors: int = 1
    streams: bool = False


class StrassenRule(Rule[Target]):
    """Blocks `input`, `conv` and `out`; before that, a product that could have them (the attribute `strassen`).

    It pays where FMAs are what a product waits for: on a CPU of one FMA per cycle.
    """

    name: ClassVar[str] = "strassen"
    exact: ClassVar[bool] = False

    def applies(self, kernel: KernelView, target: Target) -> bool:
        if "strassen" not in kernel.func.attrs or target.fma_per_cycle >= 2:
            return False
        batch, rows, blocks, depth = _extents(kernel)
        plain = batch * rows * blocks * depth / target.fma_per_cycle
        columns, vectors = _tile(kernel, target)
        return _cycles(kernel, columns, vectors, target) < GAIN * plain

    def choose(self, kernel: KernelView, target: Target) -> StrassenKnobs:
        columns, vectors = _tile(kernel, target)
        return StrassenKnobs(
            columns=2 * columns, strassen=True, vectors=vectors, streams=_weights(kernel, target) > target.l2 // 2
        )

    def schedule(self, kernel: KernelView, knobs: StrassenKnobs, target: Target) -> Any:
        sch, (*_, lanes) = kernel.sch, kernel.domain("conv")[0]
        work = prod(kernel.extents("conv")) // lanes
        n, row, o = kernel.loops("out")
        # Vectors of which each is stored as a whole or not at all.
        width = gcd(kernel.extent(o), lanes)
        tiles, half, inside = sch.split(row, [None, 2, knobs.columns // 2])
        strips, vector, pair, part, lane = sch.split(o, [None, knobs.vectors, 2, lanes // width, width])
        count = kernel.extent(strips)
        sch.reorder(n, tiles, strips, inside, vector, half, pair, part, lane)
        task = parallel(kernel, [n, tiles, strips], work)
        product, step = self._products(kernel, task)
        self._factors(kernel, target)
        for loop in (inside, vector, half, pair, part):
            sch.unroll(loop)
        sch.vectorize(lane)
        return self._fetched(kernel, knobs, task, count, product, step) if knobs.streams else kernel.func

    def _products(self, kernel: KernelView, task: Loop) -> tuple[Loop, Loop]:
        """Block `conv` for a task's strip of filters: the products one by one, each in registers over its sum. Returns
        the loops over products and over the sum."""
        sch, block = kernel.sch, kernel.block("conv")
        sch.compute_at(block, task, preserve_unit_loops=True)
        product, n, row, filters, lane, channel = kernel.loops("conv")[1:]
        store = sch.cache_write(block, 0, "local")
        sch.reorder(product, n, channel, row, filters, lane)
        sch.reverse_compute_at(store, n, preserve_unit_loops=True)
        for loop in (row, filters):
            sch.unroll(loop)
        sch.vectorize(lane)
        *copies, last = sch.get_loops(store)[3:]
        for loop in copies:
            sch.unroll(loop)
        sch.vectorize(last)
        sch.decompose_reduction(block, channel)
        return product, channel

    def _factors(self, kernel: KernelView, target: Target) -> None:
        """Block `input`, a loop of its own: all left factors of a vector of channels at a time."""
        sch, work = kernel.sch, prod(kernel.extents("input"))
        product, n, row, channel = kernel.loops("input")
        width = gcd(kernel.extent(channel), target.lanes)
        outer, lane = sch.split(channel, [None, width if 2 * width >= target.lanes else target.lanes])
        sch.reorder(n, row, outer, product, lane)
        sch.unroll(product)
        sch.vectorize(lane)
        sch.storage_align(kernel.block("input"), 0, 2, *ROW_STRIDE)
        parallel(kernel, [n, row], work)

    def _fetched(
        self, kernel: KernelView, knobs: StrassenKnobs, task: Loop, strips: int, product: Loop, step: Loop
    ) -> Any:
        """The function, with the next product's weights fetched during this one."""
        sch, func = kernel.sch, kernel.func
        following = sch.get(product).loop_var + 1
        strip = tirx.floormod(sch.get(task).loop_var, strips) + tirx.floordiv(following, PRODUCTS)
        counter = sch.get(step).loop_var
        for vector in range(knobs.vectors):
            where = [tirx.floormod(following, PRODUCTS), strip * knobs.vectors + vector, counter, 0]
            func = prefetch(func, counter, func.params[WEIGHTS], where)
        return func


def _extents(kernel: KernelView) -> tuple[int, int, int, int]:
    """Batch, rows, vectors of filters and depth of the product that the kernel still is when a rule is chosen."""
    (batch, rows, blocks, _), taps = kernel.domain("conv")
    partial = prod(kernel.domain("partial")[1]) if kernel.has("partial") else 1
    return batch, rows, blocks, prod(taps) * partial


def _weights(kernel: KernelView, target: Target) -> int:
    """Bytes of the right factors."""
    _, _, blocks, depth = _extents(kernel)
    return PRODUCTS * -(-blocks // 2) * target.lanes * depth // 2 * 4


def _tile(kernel: KernelView, target: Target) -> tuple[int, int]:
    """The register tile of a quarter: rows and vectors."""
    _, rows, blocks, _ = _extents(kernel)
    half, registers = -(-blocks // 2), target.vector_registers
    tiles = [
        (columns, vectors)
        for vectors in range(1, min(half, 8) + 1)
        if half % vectors == 0
        for columns in range(1, min(-(-rows // 2), registers) + 1)
        if columns * vectors <= min(registers - 4, registers - 1 - vectors)
    ]
    return min(tiles, key=lambda tile: (_cycles(kernel, tile[0], tile[1], target), -prod(tile)))


def _cycles(kernel: KernelView, columns: int, vectors: int, target: Target) -> float:
    """Cycles of one core for the whole product in such tiles: reading the right factors, making the left ones, and
    seven products for each tile."""
    batch, rows, blocks, depth = _extents(kernel)
    streams = _weights(kernel, target) > target.l2 // 2
    loads = vectors * target.lanes * 4 / target.memory_bytes if streams else 0.0
    step = max(columns * vectors / target.fma_per_cycle, LATENCY, loads)
    tiles = -(-rows // (2 * columns)) * -(-blocks // (2 * vectors))
    products = PRODUCTS * tiles * (depth / 2 * step + END_CYCLES * columns * vectors)
    read = EXPOSED * _weights(kernel, target) * (1 - 4 / PRODUCTS) / target.memory_bytes if streams else 0.0
    return read + batch * (FACTOR_CYCLES * rows * depth + products)
