"""Reductions over whole axes: the last axis in vectors, whether it is kept or reduced."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

from convc.schedules.cpu.loops import parallel, simple
from convc.schedules.cpu.stages import apart, is_of_rows, stages, together
from convc.schedules.rule import KernelView, Knobs, Rule
from convc.target import Target

STEM = "reduce"


@dataclass(frozen=True)
class ReduceKnobs(Knobs):
    """`by_rows`: all stages of a row, one row after the other."""

    by_rows: bool = False


class ReduceRule(Rule[Target]):
    """The stages of `reduce`, and `out`."""

    name: ClassVar[str] = "reduce"

    def applies(self, kernel: KernelView, target: Target) -> bool:
        return bool(stages(kernel, STEM))

    def choose(self, kernel: KernelView, target: Target) -> ReduceKnobs:
        *_, total = stages(kernel, STEM)
        rows = prod(kernel.domain(total)[0])
        return ReduceKnobs(by_rows=is_of_rows(kernel, STEM) and rows >= 4 * target.cores)

    def schedule(self, kernel: KernelView, knobs: ReduceKnobs, target: Target) -> Any:
        names = stages(kernel, STEM)
        if knobs.by_rows:
            *before, total = names
            spatial, _ = kernel.domain(total)
            first = kernel.domain(names[0])
            row = parallel(kernel, kernel.loops(total)[: len(spatial)], prod(first[0]) * prod(first[1]))
            together(kernel, before[::-1], row)
        else:
            for name in names:
                apart(kernel, name, target)
        simple(kernel, kernel.block("out"), target)
        return kernel.func
