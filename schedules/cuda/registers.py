"""Statements of one thread: copies of 16 bytes into registers and back, and arithmetic on single elements between."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import tvm_ffi
from tvm import tirx
from tvm.ir import Call, TensorLoad
from tvm.s_tir import SBlock, SBlockRealize
from tvm.tirx import BufferStore, For, ForKind, IfThenElse, IterVar, Select

from convc.schedules.cuda.loops import BYTES, size
from convc.schedules.cuda.vectors import is_aligned, is_conditional, sides_of
from convc.schedules.replace import loads_of, replaced
from convc.schedules.rule import KernelView
from convc.schedules.statements import integer, sequence, vector

Expr = Any
Buffer = Any
Statement = Any
Place = Callable[[Expr], Sequence[Expr]]
"""The indices of an element by its lane."""
Value = Callable[[Expr], Expr]
"""An element by its lane."""


def unrolled(name: str, extent: int, body: Callable[[Expr], Statement]) -> Statement:
    """`body` for each number below `extent`, one after the other."""
    if extent == 1:
        return body(integer(0))
    variable = tirx.Var(name, "int32")
    return For(variable, integer(0), integer(extent), ForKind.UNROLLED, body(variable))


def bound(thread: str, extent: int, body: Callable[[Expr], Statement]) -> Statement:
    """`body` in each of `extent` blocks or threads, `thread` being "blockIdx.x" or the like."""
    variable = tirx.Var(thread.replace(".", "_"), "int32")
    axis = IterVar(None, variable, IterVar.ThreadIndex, thread)
    return For(variable, integer(0), integer(extent), ForKind.THREAD_BINDING, body(variable), thread_binding=axis)


def each(units: int, threads: int, body: Callable[[Expr], Statement]) -> Statement:
    """`body` for the numbers below `units`, a thread for each, in blocks of at most `threads`."""
    threads = min(threads, units)

    def own(unit: Expr) -> Statement:
        return body(unit) if units % threads == 0 else IfThenElse(unit < units, body(unit), None)

    blocks = -(-units // threads)
    return bound("blockIdx.x", blocks, lambda b: bound("threadIdx.x", threads, lambda t: own(b * threads + t)))


def copied(target: Buffer, there: Place, source: Buffer, here: Place, lanes: int) -> Statement:
    """`lanes` elements in a row from one buffer to another of the same type, 16 bytes at a time."""
    whole = min(lanes, BYTES // size(target))

    def piece(start: int) -> Statement:
        def one(lane: Expr) -> Statement:
            return BufferStore(target, source[tuple(here(start + lane))], list(there(start + lane)))

        return one(integer(0)) if whole == 1 else vector(whole, one)

    return sequence([piece(start) for start in range(0, lanes, whole)])


@dataclass
class Registers:
    """Makes the buffers that threads have for themselves (scope "local"), share, or leave for the next nest."""

    buffers: list[Buffer] = field(default_factory=list)

    def make(self, shape: Sequence[int], dtype: str, scope: str = "local") -> Buffer:
        """A new buffer. Indices of one in registers must be constants once loops are unrolled."""
        buffer = tirx.decl_buffer(list(shape), dtype, name=f"{scope}{len(self.buffers)}", scope=scope)
        self.buffers.append(buffer)
        return buffer

    def function(self, kernel: KernelView, body: Statement) -> Any:
        """The kernel's PrimFunc with another body, which uses these buffers."""
        root = kernel.func.body.block
        block = SBlock([], root.reads, root.writes, "root", body, alloc_buffers=self.buffers)
        return kernel.func.with_body(SBlockRealize([], True, block))


@dataclass(frozen=True, eq=False)
class Written:
    """What a block writes, `body`, over its variables `axes`."""

    body: Any
    axes: Sequence[Any]

    def emit(
        self, registers: Registers, where: Mapping[Any, Expr], lanes: int, made: Mapping[Buffer, Value]
    ) -> Statement:
        """The `lanes` elements from `where` on, in a row; `made` gives elements of buffers that are in registers,
        whatever their indices. Other buffers are read in vectors too where elements lie in a row."""
        result = registers.make([lanes], str(self.body.buffer.dtype))
        computed = self._computed(registers, result, self.body.value, where, made)
        there = self._place(self.body.indices, where)
        return sequence([computed, copied(self.body.buffer, there, result, in_order, lanes)])

    def _computed(
        self,
        registers: Registers,
        target: Buffer,
        value: Expr,
        where: Mapping[Any, Expr],
        made: Mapping[Buffer, Value],
    ) -> Statement:
        """The elements of `value` in the registers `target`. Its conditions are the same for all of them."""
        lanes = int(target.shape[0])
        if lanes > 1 and is_conditional(value):
            condition, then, otherwise = sides_of(value)
            sides = (self._computed(registers, target, side, where, made) for side in (then, otherwise))
            return IfThenElse(replaced(condition, where), *sides)
        values, parts = dict(made), []
        for part in _conditionals(value) if lanes > 1 else []:
            copy = registers.make([lanes], str(part.ty.dtype))
            parts.append(self._computed(registers, copy, part, where, made))
            value = _with(value, part, copy[0])
            values[copy] = element_of(copy)
        for load in self._in_a_row(value, lanes, values) if lanes > 1 else []:
            copy = registers.make([lanes], str(load.source.dtype))
            parts.append(copied(copy, in_order, load.source, self._place(load.indices, where), lanes))
            values[load.source] = element_of(copy)
        last = self.axes[-1] if self.axes else None

        def one(lane: Expr) -> Statement:
            reads = {buffer: at_lane(own, lane) for buffer, own in values.items()}
            at = {**where, last: where[last] + lane} if lanes > 1 else where
            return BufferStore(target, replaced(value, at, reads), [lane])

        return sequence([*parts, unrolled("lane", lanes, one)])

    def _in_a_row(self, value: Expr, lanes: int, made: Mapping[Buffer, Value]) -> list[Any]:
        """Reads of elements in a row, one for each buffer of which nothing else is read."""
        found = []
        for buffer in buffers_of(value):
            loads = loads_of(value, buffer)
            alike = all(tvm_ffi.structural_equal(list(load.indices), list(loads[0].indices)) for load in loads)
            known = any(buffer.same_as(other) for other in made)
            if alike and not known and is_aligned(loads[0], self.axes[-1], lanes):
                found.append(loads[0])
        return found

    def _place(self, indices: Sequence[Expr], where: Mapping[Any, Expr]) -> Place:
        if not self.axes:
            return lambda _: list(indices)
        last = self.axes[-1]
        return lambda lane: [replaced(index, {**where, last: where[last] + lane}) for index in indices]


def buffers_of(value: Expr) -> list[Buffer]:
    """The buffers that an expression reads."""
    found: list[Buffer] = []

    def note(load: Any) -> None:
        if not any(load.source.same_as(buffer) for buffer in found):
            found.append(load.source)

    tvm_ffi.structural_walk(value, (TensorLoad, note))
    return found


def _conditionals(value: Expr) -> list[Expr]:
    """The expressions in `value` of which only one side is computed, but not those within others."""
    found = _all_conditionals(value)
    inner = [part for call in found for side in sides_of(call) for part in _all_conditionals(side)]
    return [call for call in found if not any(call.same_as(part) for part in inner)]


def _all_conditionals(value: Expr) -> list[Expr]:
    found: list[Any] = []

    def note(call: Any) -> None:
        if is_conditional(call):
            found.append(call)

    tvm_ffi.structural_walk(value, [(Call, note), (Select, note)])
    return found


def _with(value: Expr, part: Expr, other: Expr) -> Expr:
    """`value` with another expression in the place of a part of it."""

    def replace(own: Any) -> Any:
        return other if own.same_as(part) else own

    return tvm_ffi.structural_map(value, [(Call, replace), (Select, replace)], order="post")


def in_order(lane: Expr) -> list[Expr]:
    """The place of an element in a buffer of one axis."""
    return [lane]


def element_of(buffer: Buffer) -> Value:
    """The elements of a buffer of one axis."""
    return lambda lane: buffer[lane]


def at_lane(value: Value, lane: Expr) -> Callable[..., Expr]:
    """The element of a lane, whatever the indices."""
    return lambda *_: value(lane)
