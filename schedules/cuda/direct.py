"""The loops of a direct convolution: a thread computes a strip of outputs along the width, of some filters of a group.

What a line of the input has of some channels is read into registers and serves all outputs of the strip; weights come
from the caches, one vector for all columns.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from math import prod
from typing import Any

from tvm import tirx
from tvm.ir import Range
from tvm.sym import Analyzer
from tvm.tirx import BufferStore, For, ForKind, IfThenElse

from convc.schedules.cuda.loops import unravel
from convc.schedules.cuda.registers import Registers, Written, copied, each, in_order, unrolled
from convc.schedules.cuda.strip import THREADS, Line, Strip, all_of
from convc.schedules.replace import loads_of, replaced, uses
from convc.schedules.rule import KernelView
from convc.schedules.statements import integer, sequence
from convc.schedules.window import Window

Expr = Any
Buffer = Any
Statement = Any

LONGEST = 1024
"""Products that a thread adds up one after the other, at most; longer sums are sums of their lines' sums."""


class DirectLoops:
    """Writes the loops of the block `conv`, whose domain is n, *spatial, group, filter; *window, channel, and of `out`.

    A line is read `channels` at a time.
    """

    def __init__(self, kernel: KernelView, strip: Strip, channels: int) -> None:
        self.kernel, self.strip, self.channels = kernel, strip, channels
        self.window = Window(kernel, "conv")
        self.registers = Registers()
        self.analyzer = Analyzer()
        (self.batch, *outer, self.width, self.groups, _), summed = kernel.domain("conv")
        *self.taps, self.depth = summed
        self.filters = kernel.domain("out")[0][-1] // self.groups
        self.height = outer.pop() if outer else 1
        self.has_rows = len(self.window.extents) > 4
        self.tiles = -(-self.width // strip.columns)
        self.units = (self.batch, *outer, self.tiles, self.height, self.groups, self.filters // strip.lanes)
        loads = [loads_of(self.window.update, param) for param in kernel.func.params[:-1]]
        self.load = next(own[0] for own in loads if own and uses(own[0].indices[0], self.window.positions[:1]))
        self.weights = next(own[0] for own in loads if own and own[0] is not self.load)
        self.is_long = prod(summed) > LONGEST

    def emit(self) -> Any:
        """The function."""
        return self.registers.function(self.kernel, each(prod(self.units), THREADS, self._unit))

    def _unit(self, unit: Expr) -> Statement:
        *self.outer, tile, self.row, self.group, vector = unravel(unit, self.units)
        self.column, self.filter = tile * self.strip.columns, vector * self.strip.lanes
        shape = [self.strip.columns, self.strip.lanes]
        self.sums = self.registers.make(shape, "float32")
        self.total = self.registers.make(shape, "float32") if self.is_long else self.sums
        begun = self._every(lambda column, lane: BufferStore(self.total, self.window.start, [column, lane]))
        stored = [self._store(column) for column in range(self.strip.columns)]
        return sequence([begun, self._lines([]), *stored])

    def _every(self, body: Callable[[int, Expr], Statement]) -> Statement:
        def of_column(column: int) -> Statement:
            return unrolled("lane", self.strip.lanes, lambda lane: body(column, lane))

        return sequence([of_column(column) for column in range(self.strip.columns)])

    def _lines(self, taps: list[Expr]) -> Statement:
        """Loops over the rows of the window, and within them over a line's channels."""
        axis = len(taps)
        if axis < len(self.taps) - 1:
            variable = self._variable(f"k{axis}", self.taps[axis])
            return _serial(variable, self.taps[axis], self._lines([*taps, variable]))
        channel = self._variable("channels", self.depth // self.channels)
        body = _serial(channel, self.depth // self.channels, self._line(taps, channel * self.channels))
        if self.is_long:
            fresh = self._every(lambda column, lane: BufferStore(self.sums, self.window.start, [column, lane]))
            body = sequence([fresh, body, self._every(self._add_to_total)])
        of_rows = [condition for condition in self.window.inside if not self._is_of_columns(condition)]
        test = all_of(of_rows, self._where(0, [*taps, integer(0), integer(0)]))
        return body if self.analyzer.can_prove(test) else IfThenElse(test, body, None)

    def _variable(self, name: str, extent: int) -> Any:
        variable = tirx.Var(name, "int32")
        self.analyzer.bind(variable, Range(0, extent))
        return variable

    def _add_to_total(self, column: int, lane: Expr) -> Statement:
        return BufferStore(self.total, self.total[column, lane] + self.sums[column, lane], [column, lane])

    def _is_of_columns(self, condition: Expr) -> bool:
        return uses(condition, [self.window.positions[-3], self.window.taps[-2]])

    def _where(self, column: Any, taps: list[Expr], lane: Any = 0) -> dict[Any, Expr]:
        """The axes of the convolution's block at an output of the strip."""
        rows = [self.row] if self.has_rows else []
        position = [*self.outer, *rows, self.column + column, self.group, self.filter + lane]
        return dict(zip([*self.window.positions, *self.window.taps], [*position, *taps], strict=True))

    def _line(self, taps: list[Expr], first: Expr) -> Statement:
        """What one row of the window adds, of the channels from `first` on."""
        width = self.taps[-1]
        read = Line.of(self.load, self.window.positions[-3], self.window.taps[-2], self.strip.columns, width)
        places, line = read.places, self.registers.make([len(read.reads), self.channels], str(self.load.source.dtype))
        parts = [self._read(line, place, c, k, taps, first) for place, (c, k) in enumerate(read.reads)]
        own = self.registers.make([self.strip.lanes], str(self.weights.source.dtype))
        for k, channel in product(range(width), range(self.channels)):
            at = [*taps, integer(k), first + channel]
            parts.append(self._weights(own, at))
            for column in range(self.strip.columns):
                place = places[column * read.stride + k * read.dilation]
                parts.append(self._add(line, place, channel, column, at, own))
        return sequence(parts)

    def _read(self, line: Buffer, place: int, column: int, k: int, taps: list[Expr], first: Expr) -> Statement:
        def here(channel: Expr) -> list[Expr]:
            where = self._where(column, [*taps, integer(k), first + channel])
            return [replaced(index, where) for index in self.load.indices]

        read = copied(line, lambda channel: [place, channel], self.load.source, here, self.channels)
        conditions = [condition for condition in self.window.inside if self._is_of_columns(condition)]
        test = all_of(conditions, self._where(column, [*taps, integer(k), first]))
        if self.tiles * self.strip.columns > self.width:
            test = tirx.all(test, self.column + column < self.width)
        if self.analyzer.can_prove(test):
            return read
        zero = tirx.const(0, str(self.load.source.dtype))
        outside = unrolled("lane", self.channels, lambda channel: BufferStore(line, zero, [place, channel]))
        return IfThenElse(self.analyzer.simplify(test), read, outside)

    def _weights(self, own: Buffer, taps: list[Expr]) -> Statement:
        def here(lane: Expr) -> list[Expr]:
            return [replaced(index, self._where(0, taps, lane)) for index in self.weights.indices]

        return copied(own, in_order, self.weights.source, here, self.strip.lanes)

    def _add(self, line: Buffer, place: int, channel: int, column: int, taps: list[Expr], own: Buffer) -> Statement:
        def one(lane: Expr) -> Statement:
            reads: dict[Buffer, Callable[..., Expr]] = {
                self.window.accumulator: lambda *_: self.sums[column, lane],
                self.load.source: lambda *_: line[place, channel],
                self.weights.source: lambda *_: own[lane],
            }
            value = replaced(self.window.update, self._where(column, taps, lane), reads)
            return BufferStore(self.sums, value, [column, lane])

        return unrolled("lane", self.strip.lanes, one)

    def _store(self, column: int) -> Statement:
        rows = [self.row] if self.has_rows else []
        place = [*self.outer, *rows, self.column + column, self.group * self.filters + self.filter]
        out = Written(self.window.out, self.window.out_axes)
        where = dict(zip(self.window.out_axes, place, strict=True))
        made = {self.window.accumulator: lambda lane: self.total[column, lane]}
        body = out.emit(self.registers, where, self.strip.lanes, made)
        whole = self.tiles * self.strip.columns == self.width
        return body if whole else IfThenElse(self.column + column < self.width, body, None)


def _serial(variable: Any, extent: int, body: Statement) -> Statement:
    return For(variable, integer(0), integer(extent), ForKind.SERIAL, body)
