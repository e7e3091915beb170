"""Statements that rules write out themselves, where no schedule primitive leads to the loops that they want."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tvm import tirx
from tvm.tirx import For, ForKind, SeqStmt

Expr = Any
Statement = Any


def integer(value: int) -> Expr:
    """A constant."""
    return tirx.const(value, "int32")


def sequence(statements: Sequence[Statement]) -> Statement:
    """The statements one after the other, in the only form that TVM takes: not nested, and not of one."""
    flat: list[Statement] = []
    for statement in statements:
        flat.extend(statement.seq if isinstance(statement, SeqStmt) else [statement])
    return flat[0] if len(flat) == 1 else SeqStmt(flat)


def counted(name: str, extent: Any, body: Callable[[Expr], Statement], kind: int = ForKind.SERIAL) -> Statement:
    """A loop from 0; without one where there is one step."""
    if isinstance(extent, int) and extent == 1:
        return body(integer(0))
    var = tirx.Var(name, "int32")
    return For(var, integer(0), integer(extent) if isinstance(extent, int) else extent, kind, body(var))


def vector(lanes: int, body: Callable[[Expr], Statement]) -> Statement:
    """`body` for all lanes at once."""
    lane = tirx.Var("lane", "int32")
    return For(lane, integer(0), integer(lanes), ForKind.VECTORIZED, body(lane))
