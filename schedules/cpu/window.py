"""Depthwise convolution and pooling: a tile of columns by one vector of channels, the window unrolled around it."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

from convc.schedules.cpu.loops import parallel, simple, store_tile, vectorize
from convc.schedules.rule import KernelView, Knobs, Rule
from convc.target import Target

UNROLLED_TAPS = 25
"""Windows of up to this many taps are unrolled whole; larger ones keep a loop over their first axis."""


@dataclass(frozen=True)
class WindowKnobs(Knobs):
    """`chunk` output rows to a task: what they read is padded, and stays in the cache, together."""

    tile: int = 1
    chunk: int = 1


class WindowRule(Rule):
    """Blocks `depthwise` or `pool`, and `out`, maybe `pad`. Domain: n, *spatial, channel; *window."""

    name: ClassVar[str] = "window"

    def __init__(self, block: str) -> None:
        self.block = block

    def applies(self, kernel: KernelView, target: Target) -> bool:
        return kernel.has(self.block)

    def choose(self, kernel: KernelView, target: Target) -> WindowKnobs:
        (_, *spatial, channels), _ = kernel.domain(self.block)
        room = min(spatial[-1], target.vector_registers // 2 - 2)
        tile = max((c for c in range(1, room + 1) if spatial[-1] % c == 0), default=1)
        if tile < room // 2 and self.block == "depthwise" and kernel.has("pad"):
            tile = min(range(max(room // 2, 1), room + 1), key=lambda c: (-(-spatial[-1] // c) * c, -c))
        rows = spatial[-2] if len(spatial) > 1 else 1
        width = spatial[-1] * channels * 4
        fitting = [c for c in range(1, rows + 1) if rows % c == 0 and rows // c >= 8 and c * width <= target.l2 // 4]
        columns = tile if self.block == "depthwise" else 1
        return WindowKnobs(columns=columns, tile=tile, chunk=max(fitting, default=1))

    def schedule(self, kernel: KernelView, knobs: WindowKnobs, target: Target) -> Any:
        sch, block, out = kernel.sch, kernel.block(self.block), kernel.block("out")
        spatial, taps = kernel.domain(self.block)
        work = prod(kernel.extents(self.block))
        loops = kernel.loops(self.block)
        n, *space, channel = loops[: len(spatial)]
        reduction = loops[len(spatial) :]
        *outer, column = space
        column, columns = sch.split(column, [None, knobs.tile])
        lanes = next(width for width in (target.lanes, target.lanes // 2, spatial[-1]) if spatial[-1] % width == 0)
        channel, lane = sch.split(channel, [None, lanes])
        inside = []
        if outer:
            chunk, row = sch.split(outer[-1], [None, knobs.chunk])
            outer, inside = [*outer[:-1], chunk], [row]
        order = [n, *outer, *inside, column, channel]
        sch.reorder(*order, *reduction, columns, lane)
        if outer:
            task, rest = parallel(kernel, order[: 1 + len(outer)], work), [*inside, column, channel]
        else:
            task, rest = parallel(kernel, order, work), []
        innermost = rest[-1] if rest else task
        sch.set_scope(block, 0, "local")
        sch.reverse_compute_at(out, innermost)
        if kernel.has("pad") and not outer:
            simple(kernel, kernel.block("pad"), target)
        elif kernel.has("pad"):
            sch.compute_at(kernel.block("pad"), task)
            vectorize(kernel, kernel.loops("pad")[-1], target.lanes)
        store_tile(kernel, 1 + len(rest), lanes)
        for loop in reduction if prod(taps) <= UNROLLED_TAPS else reduction[1:]:
            sch.unroll(loop)
        sch.unroll(columns)
        sch.vectorize(lane)
        sch.decompose_reduction(block, reduction[0])
        return kernel.func
