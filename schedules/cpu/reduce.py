"""Reductions over whole axes: the last kept axis in vectors, everything that is reduced inside."""

from __future__ import annotations

from math import prod
from typing import Any, ClassVar

from convc.schedules.cpu.loops import parallel, simple
from convc.schedules.rule import KernelView, Knobs, Rule
from convc.target import Target

VECTORS = 4
"""Vectors of channels side by side: enough independent additions to hide their latency."""


class ReduceRule(Rule):
    """Blocks `reduce` and `out`. Domain of `reduce`: the kept axes; the reduced ones."""

    name: ClassVar[str] = "reduce"

    def applies(self, kernel: KernelView, target: Target) -> bool:
        return kernel.has("reduce")

    def choose(self, kernel: KernelView, target: Target) -> Knobs:
        return Knobs()

    def schedule(self, kernel: KernelView, knobs: Knobs, target: Target) -> Any:
        sch, block = kernel.sch, kernel.block("reduce")
        spatial, _ = kernel.domain("reduce")
        work = prod(kernel.extents("reduce"))
        loops = kernel.loops("reduce")
        kept, reduction = loops[: len(spatial)], loops[len(spatial) :]
        step = target.lanes * VECTORS
        channel, vectors, lane = sch.split(kept[-1], [None, 1 if spatial[-1] < step else VECTORS, target.lanes])
        sch.reorder(*kept[:-1], channel, *reduction, vectors, lane)
        parallel(kernel, [*kept[:-1], channel], work)
        sch.unroll(vectors)
        sch.vectorize(lane)
        sch.decompose_reduction(block, reduction[0])
        simple(kernel, kernel.block("out"), target)
        return kernel.func
