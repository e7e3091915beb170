"""Depthwise convolution and pooling: threads along the channels, strips of outputs along the width."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any, ClassVar

from convc.schedules.cuda.loops import BYTES, size
from convc.schedules.cuda.strip import Strip, StripLoops
from convc.schedules.rule import KernelView, Knobs, Rule
from convc.target import CudaTarget

WIDEST = 8
"""Columns of a strip, at most."""
REGISTERS = 64
"""Sums that a thread keeps, at most."""
UNITS = 1 << 16
"""Threads that hide each other's waiting, about: with fewer, strips are shorter."""
TAPS = 16
"""Columns of a window, at most: they are written out."""


@dataclass(frozen=True)
class WindowKnobs(Knobs):
    """What a thread computes."""

    strip: Strip = field(default_factory=lambda: Strip(1, 1))


class WindowRule(Rule[CudaTarget]):
    """Blocks `depthwise` or `pool`, and `out`, maybe `pad`. Domain: n, *spatial, channel; *window.

    Bytes: the input and the output once from and to memory, which is the floor: rows that windows share come from the
    caches, columns from registers.
    """

    name: ClassVar[str] = "window"

    def __init__(self, block: str) -> None:
        self.block = block

    def applies(self, kernel: KernelView, target: CudaTarget) -> bool:
        return (
            kernel.has(self.block)
            and set(kernel.blocks) <= {self.block, "pad", "out"}
            and kernel.domain(self.block)[1][-1] <= TAPS
            and kernel.domain(self.block)[0] == kernel.domain("out")[0]
        )

    def choose(self, kernel: KernelView, target: CudaTarget) -> WindowKnobs:
        (batch, *spatial, channels), _ = kernel.domain(self.block)
        buffers = [kernel.func.params[0], *(write.source for write in kernel.sch.get(kernel.block("out")).writes)]
        lanes = BYTES // min(size(buffer) for buffer in buffers)
        while channels % lanes:
            lanes //= 2
        most = min(WIDEST, REGISTERS // lanes)
        columns = -(-spatial[-1] // -(-spatial[-1] // most))
        rest = batch * prod(spatial[:-1]) * (channels // lanes)
        while columns > 1 and rest * -(-spatial[-1] // columns) < UNITS:
            columns = -(-columns // 2)
        return WindowKnobs(strip=Strip(columns, lanes))

    def schedule(self, kernel: KernelView, knobs: WindowKnobs, target: CudaTarget) -> Any:
        return StripLoops(kernel, self.block, knobs.strip).emit()
