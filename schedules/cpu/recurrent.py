"""Recurrent layers: sequences in parallel where there are enough of them, else the units of a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from tvm.s_tir.stmt import SBlock, SBlockRealize
from tvm.tirx.stmt import For, ForKind, SeqStmt

from convc.schedules.rule import KernelView, Knobs, Rule
from convc.target import Target

PARALLEL_STEP = 1 << 17
"""Products in a step for which it pays to wake other threads once a step."""
SPARE_REGISTERS = 8
"""Vector registers that are not accumulators: weights, states, and what the compiler needs."""


@dataclass(frozen=True)
class RecurrentKnobs(Knobs):
    """`parallel` is the loop over which the threads share the work, by its variable's name."""

    parallel: str = "tile"


class RecurrentRule(Rule[Target]):
    """One opaque block `recurrent`, whose loops are known by their variables' names."""

    name: ClassVar[str] = "recurrent"

    def applies(self, kernel: KernelView, target: Target) -> bool:
        return kernel.has("recurrent")

    def choose(self, kernel: KernelView, target: Target) -> RecurrentKnobs:
        batch, units, gates = (int(value) for value in kernel.func.attrs["recurrent"])
        accumulators = max(1, (target.vector_registers - SPARE_REGISTERS) // gates)
        rows = min(accumulators, -(-batch // target.cores))
        vectors = min(accumulators // rows, -(-units // target.lanes))
        tiles = -(-batch // rows)
        alone = tiles < target.cores and rows * units * units * gates >= PARALLEL_STEP
        return RecurrentKnobs(rows, vectors, parallel="block" if alone else "tile")

    def schedule(self, kernel: KernelView, knobs: RecurrentKnobs, target: Target) -> Any:
        kinds = {"row": ForKind.UNROLLED, "gate": ForKind.UNROLLED, "vector": ForKind.UNROLLED}
        kinds |= {"lane": ForKind.VECTORIZED, knobs.parallel: ForKind.PARALLEL}
        return kernel.func.with_body(_with_kinds(kernel.func.body, kinds))


def _with_kinds(statement: Any, kinds: dict[str, int]) -> Any:
    """`statement` with loops of other kinds, by their variables' names."""
    match statement:
        case SeqStmt():
            return SeqStmt([_with_kinds(part, kinds) for part in statement.seq])
        case For():
            body = _with_kinds(statement.body, kinds)
            extent = int(statement.extent)
            kind = kinds.get(statement.loop_var.name, statement.kind) if extent > 1 else statement.kind
            return For(statement.loop_var, statement.min, statement.extent, kind, body)
        case SBlockRealize():
            block = _with_kinds(statement.block, kinds)
            return SBlockRealize(statement.iter_values, statement.predicate, block)
        case SBlock():
            body = _with_kinds(statement.body, kinds)
            return SBlock(
                statement.iter_vars, statement.reads, statement.writes, statement.name_hint, body,
                alloc_buffers=statement.alloc_buffers, annotations=statement.annotations,
            )  # fmt: skip
    return statement
