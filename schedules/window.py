"""What the blocks of a sliding window say, for rules that write its loops out themselves."""

from __future__ import annotations

from typing import Any

from convc.schedules.replace import conjuncts, loads_of, replaced, uses
from convc.schedules.rule import KernelView

Expr = Any


class Window:
    """What the blocks of a window's kernel say: the sum or maximum, the padding if any, and the epilogue.

    `update` is what a tap makes of the accumulator, over `positions` and `taps`, if all conditions `inside` hold.
    """

    def __init__(self, kernel: KernelView, name: str) -> None:
        block, out = (kernel.sch.get(kernel.block(part)) for part in (name, "out"))
        axes = list(block.iter_vars)
        self.positions = [axis.var for axis in axes if int(axis.iter_type) == 0]
        self.taps = [axis.var for axis in axes if int(axis.iter_type) != 0]
        self.extents, self.window = kernel.domain(name)
        self.start = block.init.value
        self.accumulator = block.body.buffer
        self.update = block.body.value
        self.out_axes = [axis.var for axis in out.iter_vars]
        self.out = out.body
        self.inside: list[Expr] = []
        if kernel.has("pad"):
            self._inline(kernel.sch.get(kernel.block("pad")))

    def of_columns(self, condition: Expr) -> bool:
        """Whether a condition is one of columns."""
        return uses(condition, [self.positions[-2], self.taps[-1]])

    def _inline(self, pad: Any) -> None:
        condition, element, _ = pad.body.value.args
        (load,) = loads_of(self.update, pad.body.buffer)
        where = dict(zip((axis.var for axis in pad.iter_vars), load.indices, strict=True))
        self.inside = [replaced(part, where) for part in conjuncts(condition)]
        self.update = replaced(self.update, {}, {pad.body.buffer: lambda *_: replaced(element, where)})
