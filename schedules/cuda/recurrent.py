"""Recurrent layers: one block of threads for each tile of sequences, which share the phases of a step."""

from __future__ import annotations

from typing import Any, ClassVar

from tvm.s_tir.stmt import SBlock, SBlockRealize
from tvm.tirx import IterVar
from tvm.tirx.stmt import For, ForKind, SeqStmt

from convc.schedules.rule import KernelView, Knobs, Rule
from convc.target import CudaTarget

BOUND = {"tile": "blockIdx.x", "thread": "threadIdx.x"}
"""What the loops of these variables become."""
UNROLLED = ("row", "gate")
TILES = 128
"""Tiles that keep a GPU busy: with more sequences than that, a tile has several, which share each read of a weight."""
SUMS = 16
"""Sums that a thread keeps, at most."""
SHARED = 40 << 10
"""Bytes that the threads of a block share, about."""
STATES = 4
"""Numbers of a unit that they share beside its sums."""


class RecurrentRule(Rule[CudaTarget]):
    """One opaque block `recurrent`, whose loops are known by their variables' names.

    Bytes: the input and the output once, which is the floor; each tile reads the kernel once in every step, from the L2
    cache or, where it is small, the multiprocessor's own. States stay in shared memory.
    """

    name: ClassVar[str] = "recurrent"

    def applies(self, kernel: KernelView, target: CudaTarget) -> bool:
        return kernel.has("recurrent")

    def choose(self, kernel: KernelView, target: CudaTarget) -> Knobs:
        batch, units, gates = (int(value) for value in kernel.func.attrs["recurrent"])
        fitting = min(SUMS // gates, SHARED // (units * 4 * (STATES + gates)))
        return Knobs(rows=max(1, min(fitting, batch // TILES)))

    def schedule(self, kernel: KernelView, knobs: Knobs, target: CudaTarget) -> Any:
        return kernel.func.with_body(_bound(kernel.func.body))


def _bound(statement: Any) -> Any:
    """`statement` with its loops bound to blocks and threads, or unrolled."""
    match statement:
        case SeqStmt():
            return SeqStmt([_bound(part) for part in statement.seq])
        case For():
            body, name = _bound(statement.body), str(statement.loop_var.name)
            var, start, extent = statement.loop_var, statement.min, statement.extent
            if name in BOUND:
                thread = IterVar(None, var, IterVar.ThreadIndex, BOUND[name])
                return For(var, start, extent, ForKind.THREAD_BINDING, body, thread_binding=thread)
            return For(var, start, extent, ForKind.UNROLLED if name in UNROLLED else statement.kind, body)
        case SBlockRealize():
            return SBlockRealize(statement.iter_values, statement.predicate, _bound(statement.block))
        case SBlock():
            return SBlock(
                statement.iter_vars, statement.reads, statement.writes, statement.name_hint, _bound(statement.body),
                alloc_buffers=statement.alloc_buffers, annotations=statement.annotations,
            )  # fmt: skip
    return statement
