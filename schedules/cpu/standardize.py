"""Standardisation: row by row where the last axis is normalised, statistics first where others are."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

from convc.schedules.cpu.loops import parallel, simple, vectorize
from convc.schedules.cpu.stages import apart, is_of_rows, together
from convc.schedules.rule import KernelView, Knobs, Rule
from convc.target import Target

STEMS = ("sum", "squares")
"""The two sums."""


@dataclass(frozen=True)
class StandardizeKnobs(Knobs):
    """`by_rows`: all that a row needs is computed while it is in the cache."""

    by_rows: bool = False


class StandardizeRule(Rule[Target]):
    """Blocks `scale` and `out`, maybe `mean`, and the stages of the sums `squares` and maybe `sum`."""

    name: ClassVar[str] = "standardize"

    def applies(self, kernel: KernelView, target: Target) -> bool:
        return kernel.has("scale")

    def choose(self, kernel: KernelView, target: Target) -> StandardizeKnobs:
        *kept, depth = kernel.extents("out")
        fits = depth * 4 <= target.l2 // 2
        many = prod(kept) >= 4 * target.cores or depth <= target.lanes**2
        return StandardizeKnobs(by_rows=bool(kept) and fits and many and all(is_of_rows(kernel, s) for s in STEMS))

    def schedule(self, kernel: KernelView, knobs: StandardizeKnobs, target: Target) -> Any:
        before = [name for name in kernel.blocks if name != "out"]
        if not knobs.by_rows:
            for name in before:
                apart(kernel, name, target)
            simple(kernel, kernel.block("out"), target)
            return kernel.func
        work = 8 * prod(kernel.extents("out"))
        *kept, last = kernel.loops("out")
        row = parallel(kernel, kept, work)
        together(kernel, before[::-1], row)
        vectorize(kernel, last, target.lanes)
        return kernel.func
