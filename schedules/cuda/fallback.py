"""What always applies: every block in nests of its own, one thread for each of its elements."""

from __future__ import annotations

from typing import Any, ClassVar

from convc.schedules.cuda.nests import alone
from convc.schedules.rule import KernelView, Knobs, Rule
from convc.target import CudaTarget

INLINED = ("pad", "mean", "inverse")
"""Blocks that cost less where they are read than it costs to keep them."""


class FallbackRule(Rule[CudaTarget]):
    """Any kernel.

    Bytes: each block reads its inputs and writes its result, so what lies between two blocks is written and read once
    more than it must be."""

    name: ClassVar[str] = "fallback"

    def applies(self, kernel: KernelView, target: CudaTarget) -> bool:
        return True

    def choose(self, kernel: KernelView, target: CudaTarget) -> Knobs:
        return Knobs()

    def schedule(self, kernel: KernelView, knobs: Knobs, target: CudaTarget) -> Any:
        for name in kernel.blocks:
            if name in INLINED:
                kernel.sch.compute_inline(kernel.block(name))
            else:
                alone(kernel, name)
        return kernel.func
