"""Prefetches inside a scheduled loop. TVM has the intrinsic, but no schedule primitive for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import tirx
from tvm.s_tir import SBlock, SBlockRealize
from tvm.tirx import For, SeqStmt

READ, DATA = 0, 1
L1, L2 = 3, 2
"""llvm.prefetch's locality: into which cache."""

Element = tuple[Any, Sequence[Any]]
"""A buffer and indices, which may run past its end: a prefetch of any address is harmless."""


def prefetch(func: Any, loop_var: Any, elements: Sequence[Element], cache: int) -> Any:
    """`func` with the cache lines of `elements` fetched at the start of each step of the loop over `loop_var`."""
    calls = []
    for buffer, indices in elements:
        address = tirx.address_of(tirx.BufferLoad(buffer, list(indices)))
        calls.append(tirx.Evaluate(tirx.call_intrin("void", "tirx.prefetch", address, READ, cache, DATA)))

    def visit(statement: Any) -> Any:
        match statement:
            case For():
                body = visit(statement.body)
                if statement.loop_var.same_as(loop_var):
                    body = SeqStmt([*calls, body])
                loop = statement
                return For(loop.loop_var, loop.min, loop.extent, loop.kind, body, loop.thread_binding, loop.annotations)
            case SBlockRealize():
                return SBlockRealize(statement.iter_values, statement.predicate, visit(statement.block))
            case SBlock():
                block = statement
                return SBlock(
                    block.iter_vars, block.reads, block.writes, block.name_hint, visit(block.body), block.init,
                    block.alloc_buffers, block.match_buffers, block.annotations,
                )  # fmt: skip
            case SeqStmt():
                return SeqStmt([visit(part) for part in statement.seq])
        return statement

    return func.with_body(visit(func.body))
