"""Resampling along axes: what a task's row needs of the first axis is made just before the row is resampled again."""

from __future__ import annotations

from math import prod
from typing import Any, ClassVar

from convc.schedules.cpu.loops import parallel, vectorize
from convc.schedules.rule import KernelView, Knobs, Rule
from convc.target import Target


class ResampleRule(Rule[Target]):
    """Block `out` after one or two `along<axis>`. Domains: the axes of the output; the taps where they are many."""

    name: ClassVar[str] = "resample"

    def applies(self, kernel: KernelView, target: Target) -> bool:
        return any(name.startswith("along") for name in kernel.blocks)

    def choose(self, kernel: KernelView, target: Target) -> Knobs:
        return Knobs()

    def schedule(self, kernel: KernelView, knobs: Knobs, target: Target) -> Any:
        sch = kernel.sch
        blocks = [name for name in kernel.blocks if name != "out"]
        loops = kernel.loops("out")
        rows = min(int(blocks[0].removeprefix("along")), len(loops) - 2) + 1
        if rows < 1:
            return kernel.func
        task = parallel(kernel, loops[:rows], sum(prod(kernel.extents(name)) for name in kernel.blocks))
        for name in reversed(blocks):
            sch.compute_at(kernel.block(name), task, preserve_unit_loops=True)
        for name in blocks:
            self._row(kernel, name, target)
        vectorize(kernel, loops[-1], target.lanes)
        return kernel.func

    @staticmethod
    def _row(kernel: KernelView, name: str, target: Target) -> None:
        """A block's part of a task: whole vectors along what lies behind its axis, the taps outside of them."""
        sch = kernel.sch
        spatial, taps = kernel.domain(name)
        inside = kernel.loops(name)[1:]
        if not taps:
            vectorize(kernel, sch.fuse(*inside), target.lanes)
            return
        behind, tap = inside[int(name.removeprefix("along")) + 1 : len(spatial)], inside[-1]
        if behind:
            sch.reorder(tap, *behind)
            vectorize(kernel, sch.fuse(*behind), target.lanes)
        sch.decompose_reduction(kernel.block(name), tap)
