"""Winograd's convolution: in which tiles, in which loops, and where it is faster than the sums as they are defined."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import hypot, prod
from typing import Any, ClassVar

from convc.schedules.cpu.conv import BROADCAST_CYCLES, LATENCY, WEIGHT_CYCLES
from convc.schedules.cpu.loops import PARALLEL_WORK
from convc.schedules.cpu.winograd_loops import write_out
from convc.schedules.cpu.winograd_stages import Blocking
from convc.schedules.rule import KernelView, Knobs, Rule
from convc.target import Target

LOST = 0.1
"""Share of the FMA peak that products do not reach, direct or not, for each FMA in a cycle: the Xeon's, measured,
halved for Zen 4."""

HIDDEN_LOADS = 0.125
"""Share of what loads add to a step of two FMAs per cycle, where a core begins one and has the same load ports: fitted
to a few layers on Zen 4."""

LAST_LEVEL = 16 << 20
"""Bytes of weights that stay in the last-level cache from a task to the next."""

RESIDENT = 3.0
"""How many times faster they are read there: an estimate, below the ratio of Zen 4's bandwidths."""

DEPTH = 256
"""Channels in a sum, at most: see `convc.lower.contraction` about rounding errors."""

GAIN = 0.85
"""Winograd is chosen where the model says that it takes less than this share of the direct convolution's time."""

Tile = tuple[int, int]


@dataclass(frozen=True)
class WinogradKnobs(Knobs):
    """The register tile is `columns` tiles x `vectors`, the sums of `depth` channels. A task has `groups` such tiles;
    0: each stage goes over all of them before the next one. `fetches`: weights are fetched ahead."""

    vectors: int = 1
    depth: int = 1
    groups: int = 0
    fetches: bool = True


class WinogradRule(Rule[Target]):
    """Blocks `rows_in`, `input`, `conv`, `rows_out`, `tile` and `out`, maybe `pad`; before that, a convolution that
    could have them (the attribute `winograd`)."""

    name: ClassVar[str] = "winograd"
    exact: ClassVar[bool] = False

    def applies(self, kernel: KernelView, target: Target) -> bool:
        if "winograd" not in kernel.func.attrs:
            return False
        layer = _layer(kernel)
        products = layer.batch * layer.height * layer.width * prod(layer.window) * layer.channels * layer.filters
        direct = products / target.lanes / (target.fma_per_cycle * (1 - LOST * target.fma_per_cycle)) / target.cores
        return _cycles(layer, _best(layer, target), target, target.cores) < GAIN * direct

    def choose(self, kernel: KernelView, target: Target) -> WinogradKnobs:
        return _best(_layer(kernel), target)

    def schedule(self, kernel: KernelView, knobs: WinogradKnobs, target: Target) -> Any:
        work = prod(kernel.extents("conv"))
        blocking = Blocking(knobs.columns, knobs.vectors, knobs.depth, knobs.groups or None, knobs.fetches)
        return write_out(kernel, blocking, is_parallel=work >= PARALLEL_WORK)


@dataclass(frozen=True)
class _Layer:
    """The direct convolution that the kernel still is when a rule is chosen."""

    window: Tile
    tiles: tuple[Tile, ...]
    """Those that the lowering offers."""
    batch: int
    height: int
    width: int
    channels: int
    filters: int

    def planes(self, tile: Tile) -> int:
        """Multiplications for a tile, of one channel by one filter."""
        return prod(outputs + taps - 1 for outputs, taps in zip(tile, self.window, strict=True))

    def count(self, tile: Tile) -> int:
        """Tiles of the output."""
        return self.batch * -(-self.height // tile[0]) * -(-self.width // tile[1])


def _layer(kernel: KernelView) -> _Layer:
    window, *tiles = ((int(pair[0]), int(pair[1])) for pair in kernel.func.attrs["winograd"])
    (batch, height, width, blocks, lanes), taps = kernel.domain("conv")
    partial = prod(kernel.domain("partial")[1]) if kernel.has("partial") else 1
    channels = prod(taps) * partial // prod(window)
    return _Layer(window, tuple(tiles), batch, height, width, channels, blocks * lanes)


def _best(layer: _Layer, target: Target) -> WinogradKnobs:
    """The fastest ones, where a library runs on one core as often as on all."""
    threads = {1, target.cores}
    return min(_candidates(layer, target), key=lambda knobs: sum(n * _cycles(layer, knobs, target, n) for n in threads))


def _candidates(layer: _Layer, target: Target) -> Iterator[WinogradKnobs]:
    """Register tiles that leave registers for the operands; tasks whose transformed input fills half of the L2 cache at
    most, or stages."""
    lanes, registers = target.lanes, target.vector_registers
    blocks = layer.filters // lanes
    depth = max(d for d in range(lanes, min(layer.channels, DEPTH) + 1, lanes) if layer.channels % d == 0)
    for tile in layer.tiles:
        count, planes = layer.count(tile), layer.planes(tile)
        fetches = planes * layer.channels * layer.filters * 4 > target.l2 // 2
        for vectors in (v for v in range(1, min(blocks, 8) + 1) if blocks % v == 0):
            most = min((registers - 4) // vectors, (registers - 1 - vectors) // vectors, count)
            for columns in range(1, most + 1):
                for groups in (0, 1, 2, 4):
                    if groups * columns * planes * layer.channels * 4 <= target.l2 // 2:
                        yield WinogradKnobs(
                            columns=columns, winograd=tile, vectors=vectors, depth=depth, groups=groups, fetches=fetches
                        )


def _cycles(layer: _Layer, knobs: WinogradKnobs, target: Target, cores: int) -> float:
    """Cycles until all cores are done: multiplications, beside which weights are fetched, and transforms."""
    assert knobs.winograd is not None
    planes, count = layer.planes(knobs.winograd), layer.count(knobs.winograd)
    groups = -(-count // knobs.columns)
    steps = planes * layer.channels * (layer.filters // target.lanes) / knobs.vectors
    weights = planes * layer.channels * layer.filters * 4
    moved = planes * count * (layer.channels + layer.filters) * 4
    traffic = 2 * moved / target.cache_bytes
    fetched = weights / target.memory_bytes if knobs.fetches else 0.0
    if knobs.groups:
        tasks = -(-groups // knobs.groups)
        own = -(-tasks // cores)
        products = own * knobs.groups * steps * _step(knobs, target)
        fetched *= tasks if weights > LAST_LEVEL else 1 + (own - 1) / RESIDENT
    else:
        products = groups * steps * _step(knobs, target) / cores
        if moved > target.l2 // 2:
            traffic += 2 * moved / target.memory_bytes
    return hypot(products, fetched) + traffic / cores


def _step(knobs: WinogradKnobs, target: Target) -> float:
    """Cycles of a step of the sum in a register tile."""
    fma = knobs.columns * knobs.vectors / target.fma_per_cycle
    loads = BROADCAST_CYCLES * knobs.columns + WEIGHT_CYCLES * knobs.vectors
    return max(fma, LATENCY) + loads * (1.0 if target.fma_per_cycle > 1 else HIDDEN_LOADS)
