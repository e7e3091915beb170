"""Products of two computed tensors: the right one packed, then a register tile as in a convolution."""

from __future__ import annotations

from math import prod
from typing import Any, ClassVar

from convc.schedules.cpu.conv import best_tile
from convc.schedules.cpu.loops import simple
from convc.schedules.cpu.tile import ConvKnobs, schedule_tile
from convc.schedules.rule import KernelView, Rule
from convc.target import Target


class MatMulRule(Rule[Target]):
    """Blocks `conv` and `out`, and maybe `pack` and `extend`. Domain of `conv`: *batch, row, block, lane; the summed
    axes."""

    name: ClassVar[str] = "matmul"

    def applies(self, kernel: KernelView, target: Target) -> bool:
        return "product" in kernel.func.attrs

    def choose(self, kernel: KernelView, target: Target) -> ConvKnobs:
        (*_, rows, blocks, _), taps = kernel.domain("conv")
        depth = prod(taps) * (prod(kernel.domain("partial")[1]) if kernel.has("partial") else 1)
        _, columns, vectors = best_tile([rows], blocks, depth, target, rounds=True)
        return ConvKnobs(columns=columns, vectors=vectors)

    def schedule(self, kernel: KernelView, knobs: ConvKnobs, target: Target) -> Any:
        for name in ("pack", "extend"):
            if kernel.has(name):
                simple(kernel, kernel.block(name), target)
        return schedule_tile(kernel, knobs, target)
