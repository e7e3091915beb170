"""Threads that add up together: what each has, and how all of them come to know the total."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.tirx import BufferStore, Evaluate, IfThenElse, op

from convc.schedules.cuda.loops import WARP
from convc.schedules.cuda.registers import Registers, unrolled
from convc.schedules.statements import counted, integer, sequence

Expr = Any
Buffer = Any
Statement = Any
Combine = Callable[[Expr, Expr], Expr]

EVERY = 0xFFFFFFFF
"""All threads of a warp."""


@dataclass(frozen=True)
class Team:
    """`size` threads share a total, and a block has `count` such teams: `size` a power of two, whole warps in all.

    `across`: a total is one of `lanes` neighbours, the members of all teams taking turns in a block; else it is of all
    lanes, and members follow each other.
    """

    size: int
    count: int
    lanes: int
    across: bool

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.size * self.count

    def place(self, thread: Expr) -> tuple[Expr, Expr]:
        """The number of a thread's team in its block, and its own in the team."""
        if self.across:
            return thread % self.count, thread // self.count
        return thread // self.size, thread % self.size

    def total(self, registers: Registers, own: Buffer, thread: Expr, combine: Combine) -> tuple[Buffer, Statement]:
        """A buffer of the totals, which all members have after the statement: one per lane if `across`, else one."""
        if self.across:
            return self._of_lanes(registers, own, thread, combine)
        dtype = str(own.dtype)
        total = registers.make([1], dtype)
        parts = [BufferStore(total, own[0], [0])]
        parts += [BufferStore(total, combine(total[0], own[lane]), [0]) for lane in range(1, self.lanes)]
        mask = min(self.size, WARP) // 2
        while mask:
            other = op.tvm_warp_shuffle_xor(tirx.const(EVERY, "uint32"), total[0], mask, WARP, WARP)
            parts.append(BufferStore(total, combine(total[0], other), [0]))
            mask //= 2
        if self.size <= WARP:
            return total, sequence(parts)
        warps = self.size // WARP
        shared = registers.make([self.count, warps], dtype, "shared")
        team, member = self.place(thread)
        first = BufferStore(shared, total[0], [team, member // WARP])
        parts += [IfThenElse(member % WARP == 0, first, None), barrier()]
        parts += [BufferStore(total, shared[team, 0], [0])]
        parts += [
            counted("warp", warps - 1, lambda warp: BufferStore(total, combine(total[0], shared[team, warp + 1]), [0]))
        ]
        return total, sequence(parts)

    def _of_lanes(self, registers: Registers, own: Buffer, thread: Expr, combine: Combine) -> tuple[Buffer, Statement]:
        """First among the members in a warp, then among warps."""
        team, member = self.place(thread)
        inner = max(1, WARP // self.count)
        parts: list[Statement] = []
        mask = WARP // 2
        while mask >= self.count:

            def joined(lane: Expr, mask: int = mask) -> Statement:
                other = op.tvm_warp_shuffle_xor(tirx.const(EVERY, "uint32"), own[lane], mask, WARP, WARP)
                return BufferStore(own, combine(own[lane], other), [lane])

            parts.append(unrolled("lane", self.lanes, joined))
            mask //= 2
        groups = self.size // inner
        if groups == 1:
            return own, sequence(parts or [Evaluate(integer(0))])
        total = registers.make([self.lanes], str(own.dtype))
        shared = registers.make([groups, self.count, self.lanes], str(own.dtype), "shared")
        kept = unrolled("lane", self.lanes, lambda lane: BufferStore(shared, own[lane], [member // inner, team, lane]))
        parts += [kept if inner == 1 else IfThenElse(member % inner == 0, kept, None), barrier()]

        def added(other: Expr) -> Statement:
            return unrolled(
                "lane",
                self.lanes,
                lambda lane: BufferStore(total, combine(total[lane], shared[other + 1, team, lane]), [lane]),
            )

        parts.append(unrolled("lane", self.lanes, lambda lane: BufferStore(total, shared[0, team, lane], [lane])))
        return total, sequence([*parts, counted("other", groups - 1, added)])


def barrier() -> Statement:
    """All threads of the block come here before any goes on."""
    return Evaluate(op.tvm_storage_sync("shared"))
