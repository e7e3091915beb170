"""The loops of a sliding window: each thread computes a strip of outputs along the width, of some channels in a row.

A line of the input is read into registers, in vectors of 16 bytes, and serves all outputs of the strip that it touches.
What lies outside the input is not read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from tvm import tirx
from tvm.ir import Range
from tvm.sym import Analyzer, detect_linear_equation
from tvm.tirx import BufferStore, For, ForKind, IfThenElse

from convc.schedules.cuda.loops import unravel
from convc.schedules.cuda.registers import (
    Registers,
    Written,
    at_lane,
    buffers_of,
    copied,
    each,
    element_of,
    in_order,
    unrolled,
)
from convc.schedules.cuda.vectors import is_aligned
from convc.schedules.replace import loads_of, replaced, uses
from convc.schedules.rule import KernelView
from convc.schedules.statements import integer, sequence
from convc.schedules.window import Window

Expr = Any
Buffer = Any
Statement = Any

THREADS = 256
"""Threads of a block."""


@dataclass(frozen=True)
class Strip:
    """What a thread computes: `columns` outputs in a row, of `lanes` channels."""

    columns: int
    lanes: int


@dataclass(frozen=True)
class Line:
    """The columns of the input that a strip reads for one row of the window, without gaps between those that it needs.

    `reads` has for each of them, in order, the first output and the tap that read it: there is that output if any.
    """

    stride: int
    dilation: int
    reads: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, load: Any, position: Any, tap: Any, columns: int, width: int) -> Line:
        """Of `columns` outputs along `position` and `width` taps along `tap`, by the input's read."""
        stride, dilation = (int(detect_linear_equation(load.indices[-2], [axis])[0]) for axis in (position, tap))
        reads: dict[int, tuple[int, int]] = {}
        for column, k in product(range(columns), range(width)):
            reads.setdefault(column * stride + k * dilation, (column, k))
        return cls(stride, dilation, tuple(reads[offset] for offset in sorted(reads)))

    @property
    def places(self) -> Mapping[int, int]:
        """The number of a column by its distance from the first."""
        return {c * self.stride + k * self.dilation: place for place, (c, k) in enumerate(self.reads)}


def all_of(conditions: Sequence[Expr], where: Mapping[Any, Expr]) -> Expr:
    """Whether all conditions hold at a place."""
    return tirx.all(tirx.const(True, "bool"), *(replaced(condition, where) for condition in conditions))


class StripLoops:
    """Writes the loops of the block `name`, a sum or maximum over a window, and of `out`."""

    def __init__(self, kernel: KernelView, name: str, strip: Strip) -> None:
        self.kernel, self.strip = kernel, strip
        self.window = Window(kernel, name)
        self.registers = Registers()
        self.analyzer = Analyzer()
        self.batch, *outer, self.width, self.channels = self.window.extents
        self.height = outer.pop() if outer else 1
        self.has_rows = len(self.window.extents) > 3
        self.tiles = -(-self.width // strip.columns)
        # Threads that follow each other read channels, then rows, whose windows overlap.
        self.units = (self.batch, *outer, self.tiles, self.height, self.channels // strip.lanes)
        self.source = next(buffer for buffer in self._buffers() if self._moves(buffer))
        self.weights = [buffer for buffer in self._buffers() if not self._moves(buffer)]
        self.load = loads_of(self.window.update, self.source)[0]

    def _buffers(self) -> list[Buffer]:
        found = buffers_of(self.window.update)
        return [buffer for buffer in found if not buffer.same_as(self.window.accumulator)]

    def _moves(self, buffer: Buffer) -> bool:
        """Whether what is read of a buffer depends on the position."""
        return any(uses(index, self.window.positions[:-1]) for index in loads_of(self.window.update, buffer)[0].indices)

    def emit(self) -> Any:
        """The function."""
        return self.registers.function(self.kernel, each(prod(self.units), THREADS, self._unit))

    def _unit(self, unit: Expr) -> Statement:
        *self.outer, tile, self.row, vector = unravel(unit, self.units)
        self.column, self.channel = tile * self.strip.columns, vector * self.strip.lanes
        shape = [self.strip.columns, self.strip.lanes]
        self.sums = self.registers.make(shape, str(self.window.accumulator.dtype))

        def begin(column: int) -> Statement:
            return self._lanes(lambda lane: BufferStore(self.sums, self.window.start, [column, lane]))

        body = self._taps([])
        stored = [self._store(column) for column in range(self.strip.columns)]
        return sequence([*(begin(column) for column in range(self.strip.columns)), body, *stored])

    def _lanes(self, body: Callable[[Expr], Statement]) -> Statement:
        return unrolled("lane", self.strip.lanes, body)

    def _taps(self, taps: list[Expr]) -> Statement:
        """Loops over the rows of the window, and within them one row."""
        axis = len(taps)
        if axis == len(self.window.window) - 1:
            return self._line(taps)
        variable = tirx.Var(f"k{axis}", "int32")
        self.analyzer.bind(variable, Range(0, self.window.window[axis]))
        body = self._taps([*taps, variable])
        return For(variable, integer(0), integer(self.window.window[axis]), ForKind.SERIAL, body)

    def _where(self, column: Any, taps: list[Expr], lane: Any = 0) -> dict[Any, Expr]:
        """The axes of the window's block at an output of the strip."""
        rows = [self.row] if self.has_rows else []
        position = [*self.outer, *rows, self.column + column, self.channel + lane]
        return dict(zip([*self.window.positions, *self.window.taps], [*position, *taps], strict=True))

    def _line(self, taps: list[Expr]) -> Statement:
        """What one row of the window adds to the strip, under the condition that it is inside the input."""
        of_rows = [c for c in self.window.inside if not self.window.of_columns(c)]
        of_columns = [c for c in self.window.inside if self.window.of_columns(c)]
        width, strip = self.window.window[-1], self.strip
        read = Line.of(self.load, self.window.positions[-2], self.window.taps[-1], strip.columns, width)
        places, line = read.places, self.registers.make([len(read.reads), strip.lanes], str(self.source.dtype))
        parts = [self._read(line, place, c, k, taps, of_columns) for place, (c, k) in enumerate(read.reads)]
        for k in range(width):
            own, loaded = self._weights([*taps, integer(k)])
            parts += loaded
            for column in range(strip.columns):
                place = places[column * read.stride + k * read.dilation]
                parts.append(self._add(line, place, column, [*taps, integer(k)], own))
        test = all_of(of_rows, self._where(0, [*taps, integer(0)]))
        body = sequence(parts)
        return body if self.analyzer.can_prove(test) else IfThenElse(test, body, None)

    def _read(
        self, line: Buffer, place: int, column: int, k: int, taps: list[Expr], conditions: list[Expr]
    ) -> Statement:
        """A column of the line, or what changes nothing where it is outside the input."""
        at = [*taps, integer(k)]

        def here(lane: Expr) -> list[Expr]:
            return [replaced(index, self._where(column, at, lane)) for index in self.load.indices]

        lanes = self.strip.lanes if is_aligned(self.load, self.window.positions[-1], self.strip.lanes) else 1

        def piece(start: Expr) -> Statement:
            return copied(line, lambda lane: [place, start + lane], self.source, lambda lane: here(start + lane), lanes)

        read = piece(integer(0)) if lanes == self.strip.lanes else self._lanes(piece)
        behind = self.column + column < self.width
        test = tirx.all(all_of(conditions, self._where(column, at)), behind)
        simple = self.analyzer.simplify(test)
        if self.tiles * self.strip.columns == self.width and not conditions:
            return read
        outside = self._lanes(lambda lane: BufferStore(line, self._neutral(), [place, lane]))
        return IfThenElse(simple, read, outside)

    def _neutral(self) -> Expr:
        """What a sum or maximum does not change by."""
        dtype = str(self.source.dtype)
        return tirx.min_value(dtype) if isinstance(self.window.update, tirx.Max) else tirx.const(0, dtype)

    def _weights(self, taps: list[Expr]) -> tuple[dict[Buffer, Callable[[Expr], Expr]], list[Statement]]:
        """The weights of a tap in registers."""
        own: dict[Buffer, Callable[[Expr], Expr]] = {}
        parts = []
        for buffer in self.weights:
            load = loads_of(self.window.update, buffer)[0]
            copy = self.registers.make([self.strip.lanes], str(buffer.dtype))

            def here(lane: Expr, load: Any = load) -> list[Expr]:
                return [replaced(index, self._where(0, taps, lane)) for index in load.indices]

            parts.append(copied(copy, in_order, buffer, here, self.strip.lanes))
            own[buffer] = element_of(copy)
        return own, parts

    def _add(
        self, line: Buffer, place: int, column: int, taps: list[Expr], own: Mapping[Buffer, Callable[[Expr], Expr]]
    ) -> Statement:
        def one(lane: Expr) -> Statement:
            reads = {
                self.window.accumulator: lambda *_: self.sums[column, lane],
                self.source: lambda *_: line[place, lane],
            }
            reads |= {buffer: at_lane(value, lane) for buffer, value in own.items()}
            value = replaced(self.window.update, self._where(column, taps, lane), reads)
            return BufferStore(self.sums, value, [column, lane])

        return self._lanes(one)

    def _store(self, column: int) -> Statement:
        rows = [self.row] if self.has_rows else []
        where = dict(zip(self.window.out_axes, [*self.outer, *rows, self.column + column, self.channel], strict=True))
        out = Written(self.window.out, self.window.out_axes)
        body = out.emit(
            self.registers, where, self.strip.lanes, {self.window.accumulator: lambda lane: self.sums[column, lane]}
        )
        whole = self.tiles * self.strip.columns == self.width
        return body if whole else IfThenElse(self.column + column < self.width, body, None)
