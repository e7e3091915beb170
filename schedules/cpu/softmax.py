"""Softmax: rows in parallel, maximum, exponentials and their sum one after the other while the row is in the cache."""

from __future__ import annotations

from math import prod
from typing import Any, ClassVar

from convc.schedules.cpu.loops import parallel, simple
from convc.schedules.rule import KernelView, Knobs, Rule
from convc.target import Target


class SoftmaxRule(Rule):
    """Blocks `maximum`, `power`, `total` and `out`."""

    name: ClassVar[str] = "softmax"

    def applies(self, kernel: KernelView, target: Target) -> bool:
        return kernel.has("total")

    def choose(self, kernel: KernelView, target: Target) -> Knobs:
        return Knobs()

    def schedule(self, kernel: KernelView, knobs: Knobs, target: Target) -> Any:
        for name in ("power", "out"):
            simple(kernel, kernel.block(name), target)
        for name in ("maximum", "total"):
            spatial, _ = kernel.domain(name)
            loops = kernel.loops(name)
            parallel(kernel, loops[: len(spatial)], prod(kernel.extents(name)))
        return kernel.func
