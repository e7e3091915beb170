"""The order of elements: vectors of elements are compared with one after the other."""

from __future__ import annotations

from math import prod
from typing import Any, ClassVar

from convc.schedules.cpu.loops import parallel
from convc.schedules.rule import KernelView, Knobs, Rule
from convc.target import Target


class TopKRule(Rule[Target]):
    """Blocks `rank` and `place`, as convc/lower/top_k.py makes them, and `out`."""

    name: ClassVar[str] = "top_k"

    def applies(self, kernel: KernelView, target: Target) -> bool:
        return kernel.has("rank")

    def choose(self, kernel: KernelView, target: Target) -> Knobs:
        return Knobs()

    def schedule(self, kernel: KernelView, knobs: Knobs, target: Target) -> Any:
        sch = kernel.sch
        *lead, own, other = kernel.loops("rank")
        work = prod(kernel.extents("rank"))
        vectors, lane = sch.split(own, [None, target.lanes])
        sch.reorder(vectors, other, lane)
        sch.vectorize(lane)
        parallel(kernel, [*lead, vectors], work)
        sch.decompose_reduction(kernel.block("rank"), other)
        *places, _ = kernel.loops("place")
        parallel(kernel, places, prod(kernel.extents("place")))
        return kernel.func
