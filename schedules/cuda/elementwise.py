"""Kernels of one block without reduction: elementwise chains, copies, concatenations, reads at computed indices."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

from convc.schedules.cuda.loops import unravel
from convc.schedules.cuda.nests import THREADS
from convc.schedules.cuda.registers import Registers, Written, each
from convc.schedules.cuda.vectors import parts_of, widest
from convc.schedules.rule import KernelView, Knobs, Rule
from convc.target import CudaTarget

READS = 64
"""Reads of an element, at most, for which blocks are inlined."""


@dataclass(frozen=True)
class ElementwiseKnobs(Knobs):
    """`elements` of the last axis that a thread computes."""

    elements: int = 1


class ElementwiseRule(Rule[CudaTarget]):
    """Only the block `out`, or others whose few reads it can make itself, without reduction.

    Bytes: each input and the output once, which is the floor; in pieces of 16 bytes where elements lie in a row in all
    tensors, else element by element, 128 bytes a warp. What is read by several elements comes from the caches.
    """

    name: ClassVar[str] = "elementwise"

    def applies(self, kernel: KernelView, target: CudaTarget) -> bool:
        return _written(kernel) is not None

    def choose(self, kernel: KernelView, target: CudaTarget) -> ElementwiseKnobs:
        return ElementwiseKnobs(elements=widest(_written(kernel)))

    def schedule(self, kernel: KernelView, knobs: ElementwiseKnobs, target: CudaTarget) -> Any:
        block = _written(kernel)
        assert block is not None
        axes, registers = [axis.var for axis in block.iter_vars], Registers()
        extents = list(kernel.domain("out")[0])
        if axes:
            extents[-1] //= knobs.elements

        def unit(number: Any) -> Any:
            where = unravel(number, extents)
            if axes:
                where[-1] = where[-1] * knobs.elements
            out = Written(block.body, axes)
            return out.emit(registers, dict(zip(axes, where, strict=True)), knobs.elements, {})

        return registers.function(kernel, each(prod(extents), THREADS, unit))


def _written(kernel: KernelView) -> Any:
    """The block `out` with all others inlined; None where there are reductions, or too many reads."""
    if any(kernel.domain(name)[1] for name in kernel.blocks) or "out" not in kernel.blocks:
        return None
    view = KernelView(kernel.func)
    for name in view.blocks:
        if name != "out":
            view.sch.compute_inline(view.block(name))
    block = view.sch.get(view.block("out"))
    return block if len(view.blocks) == 1 or len(parts_of(block.body.value)[0]) <= READS else None
