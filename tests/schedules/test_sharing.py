"""What threads share: never what a thread has for itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import tvm_ffi
from tvm.ir import TensorLoad
from tvm.s_tir import SBlock, SBlockRealize
from tvm.tirx import BufferStore, For, ForKind, SeqStmt

from convc.build.kernels import build
from convc.passes import optimize
from convc.target import resolve
from tests.support.kernels import PARTS, kernel_groups


def parallel_loops(statement: Any) -> Iterator[Any]:
    """The outermost parallel loops, in order."""
    match statement:
        case SeqStmt():
            for part in statement.seq:
                yield from parallel_loops(part)
        case SBlockRealize():
            yield from parallel_loops(statement.block)
        case SBlock():
            yield from parallel_loops(statement.body)
        case For():
            if statement.kind == ForKind.PARALLEL:
                yield statement
            else:
                yield from parallel_loops(statement.body)


def own_buffers(loop: Any) -> list[Any]:
    """The buffers of scope "local" that a loop reads or writes."""
    accesses: list[Any] = []
    tvm_ffi.structural_walk(loop, [(TensorLoad, accesses.append), (BufferStore, accesses.append)])
    buffers = [access.source if isinstance(access, TensorLoad) else access.buffer for access in accesses]
    return [buffer for buffer in buffers if buffer.scope() == "local"]


@pytest.mark.parametrize("target", ["znver4", "sapphirerapids"])
@pytest.mark.parametrize("part", PARTS)
def test_two_parallel_loops_have_no_local_buffer_in_common(part: str, target: str) -> None:
    """TVM would allocate it outside of both, and all threads would write to the one."""
    shared = []
    for subject in PARTS[part]:
        for group in kernel_groups(optimize(subject.graph).grouped):
            func = build(group, resolve(target), bounded=False, exact=False).func
            seen: list[Any] = []
            for loop in parallel_loops(func.body):
                mine = own_buffers(loop)
                shared += [f"{subject.name}: {a.name}" for a in mine if any(a.same_as(b) for b in seen)]
                seen += mine
    assert not shared, sorted(set(shared))
