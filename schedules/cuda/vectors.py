"""Which elements can be read and written 16 bytes at a time: those that lie in a row, at the same place in a vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tvm_ffi
from tvm.ir import Call, TensorLoad
from tvm.sym import Analyzer, detect_linear_equation
from tvm.tirx import GE, GT, LE, LT, And, IntImm, Select

from convc.schedules.cuda.loops import BYTES, size
from convc.schedules.replace import uses

Expr = Any
Buffer = Any


def widest(block: Any) -> int:
    """Elements of its last axis that a thread should compute at once: as many as make 16 bytes of the narrowest tensor
    that the block, which reduces nothing, reads or writes along it; 1 where a tensor is read along it in any other way
    than in a row."""
    if not block.iter_vars:
        return 1
    last = block.iter_vars[-1]
    loads, conditions = parts_of(block.body.value)
    moving = [load.source for load in loads if follows(load, last.var)]
    elements = BYTES // min(size(buffer) for buffer in [block.body.buffer, *moving])

    def fits(elements: int) -> bool:
        return (
            int(last.dom.extent) % elements == 0
            and is_aligned(block.body, last.var, elements)
            and all(not depends(load, last.var) or is_aligned(load, last.var, elements) for load in loads)
            and all(is_uniform(condition, last.var, elements) for condition in conditions)
        )

    while elements > 1 and not fits(elements):
        elements //= 2
    return elements


def parts_of(value: Expr) -> tuple[list[Any], list[Expr]]:
    """All reads in an expression, and the conditions on which parts of it are not computed."""
    loads: list[Any] = []
    conditions: list[Expr] = []

    def found(choice: Any) -> None:
        if is_conditional(choice):
            conditions.append(sides_of(choice)[0])

    tvm_ffi.structural_walk(value, [(TensorLoad, loads.append), (Call, found), (Select, found)])
    return loads, conditions


def is_conditional(value: Expr) -> bool:
    """Whether only one side of it may be computed: an `if_then_else`, or a Select that reads at a computed index, which
    TVM takes for in bounds where it is chosen."""
    if isinstance(value, Select):
        return any(
            parts_of(index)[0] for side in sides_of(value)[1:] for load in parts_of(side)[0] for index in load.indices
        )
    return isinstance(value, Call) and str(getattr(value.op, "name", "")).endswith("if_then_else")


def sides_of(value: Expr) -> tuple[Expr, Expr, Expr]:
    """The condition of a conditional expression, and its sides."""
    if isinstance(value, Select):
        return value.condition, value.true_value, value.false_value
    condition, then, otherwise = value.args
    return condition, then, otherwise


def is_aligned(access: Any, variable: Any, elements: int) -> bool:
    """Whether a read or write follows the variable from a multiple of `elements` on."""
    if not follows(access, variable):
        return False
    *outer, inner = access.indices
    buffer = access.source if isinstance(access, TensorLoad) else access.buffer
    if any(uses(index, [variable]) for index in outer):
        return False
    if int(buffer.shape[-1]) % elements:
        return False
    rest = Analyzer().modular_set(Analyzer().simplify(inner - variable))
    return int(rest.coeff) % elements == 0 and int(rest.base) % elements == 0


def follows(access: Any, variable: Any) -> bool:
    """Whether a read or write moves on by one element with the variable."""
    return len(access.indices) > 0 and _linear(access.indices[-1], variable)[:1] == (1,)


def depends(load: Any, variable: Any, *, behind: int = 0) -> bool:
    """Whether indices of a read, but for the last `behind`, depend on the variable."""
    return any(uses(index, [variable]) for index in list(load.indices)[: len(load.indices) - behind])


def is_uniform(condition: Expr, variable: Any, elements: int) -> bool:
    """Whether a condition is the same for all numbers from a multiple of `elements` to before the next."""
    if not uses(condition, [variable]):
        return True
    if isinstance(condition, And):
        return all(is_uniform(part, variable, elements) for part in (condition.a, condition.b))
    if not isinstance(condition, LT | LE | GT | GE):
        return False
    parts = _linear(condition.a - condition.b, variable)
    if len(parts) != 2 or parts[0] not in (1, -1):
        return False
    factor, rest = parts
    # a + rest < 0 changes at a = -rest, a + rest <= 0 one later; rest - a < 0 at a = rest + 1, rest - a <= 0 at rest.
    later = isinstance(condition, LE | GT) if factor == 1 else isinstance(condition, LT | GE)
    return (-factor * rest + int(later)) % elements == 0


def _linear(expr: Expr, variable: Any) -> Sequence[int]:
    """The variable's factor, and the rest of a linear expression where that is a number."""
    parts = detect_linear_equation(Analyzer().simplify(expr), [variable])
    if not parts or not isinstance(parts[0], IntImm):
        return ()
    return tuple(int(part) for part in parts if isinstance(part, IntImm))
