"""Depthwise convolution and pooling: register tiles of rows by columns by one vector of channels."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

from convc.schedules.cpu.loops import PARALLEL_WORK
from convc.schedules.cpu.sliding import Tile, slide
from convc.schedules.rule import KernelView, Knobs, Rule
from convc.target import Target

BAND = 2
"""Rows of a register tile: what they both read is read once from behind the L1 cache."""
WIDE, NARROW = 7, 4
"""Columns of a register tile where the multiplications are the limit, and where the memory is: it is read line by line
then, each from a stream of its own, and the hardware follows few streams."""
MANY_TAPS = 16
"""From this many on, the multiplications of a window are the limit."""


@dataclass(frozen=True)
class WindowKnobs(Knobs):
    """The register tile is `band` rows x `tile` columns x one vector of `lanes` channels."""

    band: int = 1
    tile: int = 1
    lanes: int = 1


class WindowRule(Rule[Target]):
    """Blocks `depthwise` or `pool`, and `out`, maybe `pad`. Domain: n, *spatial, channel; *window."""

    name: ClassVar[str] = "window"

    def __init__(self, block: str) -> None:
        self.block = block

    def applies(self, kernel: KernelView, target: Target) -> bool:
        return kernel.has(self.block)

    def choose(self, kernel: KernelView, target: Target) -> WindowKnobs:
        (batch, *spatial, channels), window = kernel.domain(self.block)
        lanes = min(target.lanes, 1 << (channels.bit_length() - 1))
        rows = spatial[-2] if len(spatial) > 1 else 1
        band = BAND if batch * prod(spatial[:-2]) * -(-rows // BAND) >= 2 * target.cores else 1
        size = prod(int(extent) for extent in kernel.func.params[0].shape) * 4
        waits = size > target.l2 * 3 // 2 and prod(window) < MANY_TAPS
        most = min(NARROW if waits else WIDE, (target.vector_registers - 2) // (BAND + 1))
        tile = -(-spatial[-1] // -(-spatial[-1] // most))
        return WindowKnobs(band=band, tile=tile, lanes=lanes)

    def schedule(self, kernel: KernelView, knobs: WindowKnobs, target: Target) -> Any:
        work = prod(kernel.extents(self.block))
        tile = Tile(knobs.band, knobs.tile, knobs.lanes)
        return slide(kernel, self.block, tile, is_parallel=work >= PARALLEL_WORK)
