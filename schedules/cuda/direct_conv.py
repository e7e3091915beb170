"""Convolutions that are no products of matrices: those in groups, and of three axes."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any, ClassVar

from convc.schedules.cuda.direct import DirectLoops
from convc.schedules.cuda.loops import BYTES, size
from convc.schedules.cuda.strip import Strip
from convc.schedules.cuda.window import UNITS
from convc.schedules.rule import KernelView, Knobs, Rule
from convc.target import CudaTarget

SUMS = 32
"""Sums that a thread keeps, at most."""
WIDEST = 8
"""Columns of a strip, at most."""
PRODUCTS = 1024
"""Multiplications that are written out in the innermost loop, at most."""


@dataclass(frozen=True)
class DirectKnobs(Knobs):
    """What a thread computes, and the channels that it reads at a time."""

    strip: Strip = field(default_factory=lambda: Strip(1, 1))
    channels: int = 1


class DirectConvRule(Rule[CudaTarget]):
    """Blocks `conv` and `out`, maybe `pad`. Domain of `conv`: n, *spatial, group, filter; *window, channel.

    Bytes: the input and the output once from and to memory, which is the floor; the input again from the caches for
    each row of the window and each `lanes` filters of its group. Each vector of weights is read for `columns` outputs.
    """

    name: ClassVar[str] = "direct_conv"

    def applies(self, kernel: KernelView, target: CudaTarget) -> bool:
        if not kernel.has("conv") or not set(kernel.blocks) <= {"conv", "pad", "out"}:
            return False
        spatial, window = kernel.domain("conv")
        return (
            len(window) >= 2
            and len(spatial) == len(window) + 2
            and spatial[:-2] == kernel.domain("out")[0][:-1]
            and window[-2] <= WIDEST
        )

    def choose(self, kernel: KernelView, target: CudaTarget) -> DirectKnobs:
        (batch, *spatial, groups, _), (*_, width, depth) = kernel.domain("conv")
        filters = kernel.domain("out")[0][-1] // groups
        x, weights = kernel.func.params[0], kernel.func.params[1]
        lanes, channels = BYTES // size(weights), BYTES // size(x)
        while filters % lanes:
            lanes //= 2
        while depth % channels:
            channels //= 2
        columns = min(WIDEST, SUMS // lanes, spatial[-1])
        rest = batch * prod(spatial[:-1]) * groups * (filters // lanes)
        while columns > 1 and (
            rest * -(-spatial[-1] // columns) < UNITS or width * channels * columns * lanes > PRODUCTS
        ):
            columns = -(-columns // 2)
        columns = -(-spatial[-1] // -(-spatial[-1] // columns))
        return DirectKnobs(strip=Strip(columns, lanes), channels=channels)

    def schedule(self, kernel: KernelView, knobs: DirectKnobs, target: CudaTarget) -> Any:
        return DirectLoops(kernel, knobs.strip, knobs.channels).emit()
