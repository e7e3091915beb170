"""Expressions with variables and reads replaced. TVM's own substitution is not exposed to Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tvm_ffi
from tvm.ir import TensorLoad
from tvm.tirx import And, Let, Var

Expr = Any
Buffer = Any


def replaced(
    expr: Expr, variables: Mapping[Any, Expr], reads: Mapping[Buffer, Callable[..., Expr]] | None = None
) -> Expr:
    """`expr` with other values for `variables`, and reads of the buffers in `reads` replaced by what these make of the
    indices. Variables that `expr` binds itself are new ones in the result, so that it may stand beside `expr`."""
    bound: dict[Any, Expr] = {let.var: Var(let.var.name, let.var.ty) for let in _found(expr, Let)}
    mapping = {**bound, **variables}

    def read(load: Any) -> Expr:
        for buffer, make in (reads or {}).items():
            if load.source.same_as(buffer):
                return make(*load.indices)
        return load

    return tvm_ffi.structural_map(expr, [(TensorLoad, read), (Var, lambda var: mapping.get(var, var))], order="post")


def loads_of(expr: Expr, buffer: Buffer) -> list[Any]:
    """The reads of `buffer`."""
    return [load for load in _found(expr, TensorLoad) if load.source.same_as(buffer)]


def uses(expr: Expr, variables: Sequence[Any]) -> bool:
    """Whether any of the variables occurs."""
    return any(found.same_as(variable) for found in _found(expr, Var) for variable in variables)


def conjuncts(condition: Expr) -> list[Expr]:
    """The conditions that `condition` is the conjunction of."""
    if isinstance(condition, And):
        return [*conjuncts(condition.a), *conjuncts(condition.b)]
    return [condition]


def _found(expr: Expr, kind: type[Any]) -> list[Any]:
    found: list[Any] = []

    def note(node: Any) -> None:
        found.append(node)

    tvm_ffi.structural_walk(expr, (kind, note))
    return found
