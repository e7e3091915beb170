"""Keeps register tiles on the stack, from where LLVM moves them into registers.

TVM takes a buffer of 1 KiB or more from the workspace, and a full tile of accumulators is larger. Behind an opaque
pointer LLVM can only sink loads and stores out of the loop, and not even that where the loop prefetches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tvm
from tvm import tirx
from tvm.tirx import AllocBuffer, AttrStmt, DeclBuffer, For, IfThenElse, SeqStmt

PIPELINE = "convc"
"""TVM's default pipeline for CPUs, and this pass at its end."""


def _pipeline() -> Any:
    tiles = tirx.transform.prim_func_pass(_tiles_on_stack, opt_level=0)
    lowering, finish_host, finish_device = tirx.get_default_tir_pipeline(tvm.target.Target("llvm"))
    return (
        lambda module: _lowered(module, lowering),
        lambda: tvm.transform.Sequential([finish_host(), tiles]),
        finish_device,
    )


def _lowered(module: Any, lowering: Any) -> Any:
    """The lowered module. Recurrent kernels go without the elimination of common subexpressions: TVM's reads in one
    loop what it has defined in the loop before, where both hold expressions with variables of their own."""
    recurrent: dict[Any, Any] = {}
    others: dict[Any, Any] = {}
    for variable, function in module.functions_items():
        kernels = recurrent if function.attrs and "recurrent" in function.attrs else others
        kernels[variable] = function
    if not recurrent:
        return lowering(module)
    result = lowering(tvm.IRModule(others, attrs=module.attrs))
    with tvm.transform.PassContext(config={"tirx.disable_cse_tir": True}):
        result.update(lowering(tvm.IRModule(recurrent, attrs=module.attrs)))
    return result


def _tiles_on_stack(func: Any, _module: Any, _context: Any) -> Any:
    return func.with_body(_visit(func.body))


tirx.register_tir_pipeline(PIPELINE, _pipeline)


def _visit(statement: Any) -> Any:
    match statement:
        case SeqStmt():
            return SeqStmt(_without_workspace(statement.seq))
        case For():
            loop = statement
            body = _visit(loop.body)
            return For(loop.loop_var, loop.min, loop.extent, loop.kind, body, loop.thread_binding, loop.annotations)
        case AttrStmt():
            return AttrStmt(statement.node, statement.attr_key, statement.value, _visit(statement.body))
    return statement


def _without_workspace(statements: Sequence[Any]) -> list[Any]:
    """The statements with each `local` workspace buffer allocated on the stack: its check and its release go."""
    result: list[Any] = []
    freed: list[Any] = []
    for statement in statements:
        if isinstance(statement, DeclBuffer) and statement.buffer.scope() == "local":
            result.append(AllocBuffer(statement.buffer))
            freed.append(statement.buffer)
        elif not (isinstance(statement, IfThenElse) and any(_manages(statement.condition, b) for b in freed)):
            result.append(_visit(statement))
    return result


def _manages(condition: Any, buffer: Any) -> bool:
    """Whether a condition tests the result of allocating or of freeing the buffer."""
    text = str(condition)
    return buffer.name in text and ("isnullptr" in text or "FreeWorkspace" in text)
