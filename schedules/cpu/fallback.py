"""What always applies: every block on its own, its outermost axis in parallel."""

from __future__ import annotations

from math import prod
from typing import Any, ClassVar

from convc.schedules.cpu.loops import parallel
from convc.schedules.rule import KernelView, Knobs, Rule
from convc.target import Target


class FallbackRule(Rule[Target]):
    """Any kernel."""

    name: ClassVar[str] = "fallback"

    def applies(self, kernel: KernelView, target: Target) -> bool:
        return True

    def choose(self, kernel: KernelView, target: Target) -> Knobs:
        return Knobs()

    def schedule(self, kernel: KernelView, knobs: Knobs, target: Target) -> Any:
        for name in kernel.blocks:
            spatial, _ = kernel.domain(name)
            work = prod(kernel.extents(name))
            if spatial:
                parallel(kernel, kernel.loops(name)[: max(1, len(spatial) - 1)], work)
        return kernel.func
