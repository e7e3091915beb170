"""Softmax: rows in parallel, maximum, exponentials and their sum one after the other while the row is in the cache."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

from convc.schedules.cpu.loops import parallel, simple, vectorize
from convc.schedules.cpu.stages import apart, stages, together
from convc.schedules.rule import KernelView, Knobs, Rule
from convc.target import Target

WORK = 32
"""Elementary operations for each element, most of them for its exponential."""


@dataclass(frozen=True)
class SoftmaxKnobs(Knobs):
    """`by_rows`: all stages of a row, one row after the other."""

    by_rows: bool = False


class SoftmaxRule(Rule[Target]):
    """The stages of `maximum` and `total`, blocks `power` and `out`, maybe `inverse`."""

    name: ClassVar[str] = "softmax"

    def applies(self, kernel: KernelView, target: Target) -> bool:
        return kernel.has("power")

    def choose(self, kernel: KernelView, target: Target) -> SoftmaxKnobs:
        *kept, depth = kernel.extents("out")
        *_, total = stages(kernel, "total")
        rows = kernel.domain(total)[0] == tuple(kept)
        many = prod(kept) >= 4 * target.cores or depth <= target.lanes**2
        return SoftmaxKnobs(by_rows=bool(kept) and rows and many and depth * 4 <= target.l2 // 2)

    def schedule(self, kernel: KernelView, knobs: SoftmaxKnobs, target: Target) -> Any:
        before = [name for name in kernel.blocks if name != "out"]
        if not knobs.by_rows:
            for name in before:
                apart(kernel, name, target)
            simple(kernel, kernel.block("out"), target)
            return kernel.func
        *kept, last = kernel.loops("out")
        row = parallel(kernel, kept, WORK * prod(kernel.extents("out")))
        together(kernel, before[::-1], row)
        vectorize(kernel, kernel.loops("power")[-1], target.lanes)
        vectorize(kernel, last, target.lanes)
        return kernel.func
