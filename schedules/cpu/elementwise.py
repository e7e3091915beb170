"""Kernels of one block without reduction: elementwise chains, copies, transposes, concatenations."""

from __future__ import annotations

from typing import Any, ClassVar

from convc.schedules.cpu.loops import simple
from convc.schedules.rule import KernelView, Knobs, Rule
from convc.target import Target


class ElementwiseRule(Rule[Target]):
    """Only the block `out`."""

    name: ClassVar[str] = "elementwise"

    def applies(self, kernel: KernelView, target: Target) -> bool:
        return kernel.blocks == ("out",)

    def choose(self, kernel: KernelView, target: Target) -> Knobs:
        return Knobs()

    def schedule(self, kernel: KernelView, knobs: Knobs, target: Target) -> Any:
        simple(kernel, kernel.block("out"), target)
        return kernel.func
