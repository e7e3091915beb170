"""Prefetches inside a scheduled loop. TVM has the intrinsic, but no schedule primitive for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import tirx
from tvm.s_tir import SBlock, SBlockRealize
from tvm.tirx import For, SeqStmt

READ, L2, DATA = 0, 2, 1
"""llvm.prefetch's arguments: for reading, into the second-level cache, data."""


def fetch(buffer: Any, indices: Sequence[Any]) -> Any:
    """The statement that fetches buffer[indices] into the L2 cache.

    The indices may run past the buffer's end: a prefetch of any address is harmless.
    """
    address = tirx.address_of(tirx.BufferLoad(buffer, list(indices)))
    return tirx.Evaluate(tirx.call_intrin("void", "tirx.prefetch", address, READ, L2, DATA))


def prefetch(func: Any, loop_var: Any, buffer: Any, indices: Sequence[Any]) -> Any:
    """`func` with buffer[indices] fetched at the start of each step of the loop over `loop_var`."""
    fetching = fetch(buffer, indices)

    def visit(statement: Any) -> Any:
        match statement:
            case For():
                body = visit(statement.body)
                if statement.loop_var.same_as(loop_var):
                    body = SeqStmt([fetching, body])
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
