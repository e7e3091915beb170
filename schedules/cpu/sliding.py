"""The loops of a sliding window, written out: register tiles over what exists of the input, without a padded copy.

Taps outside the input are left out: those of a row by a test before the row's multiplications, those of a column by
code of its own for the first and last tiles of a row. A vector of channels that would not be full starts earlier, and
computes some channels again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from tvm import tirx
from tvm.ir import Range
from tvm.s_tir import SBlock, SBlockRealize
from tvm.sym import Analyzer
from tvm.tirx import BufferStore, For, ForKind, IfThenElse

from convc.schedules.replace import replaced
from convc.schedules.rule import KernelView
from convc.schedules.statements import integer, sequence, vector
from convc.schedules.window import Window

Expr = Any
Buffer = Any
Statement = Any

BORDERS = 6
"""Up to this many tiles of a row have code of their own; where more would, all are in the loop, their taps tested."""
UNROLLED_COLUMNS = 16
"""Windows of up to this many columns are unrolled along them."""


@dataclass(frozen=True)
class Tile:
    """The register tile: `rows` x `columns` outputs of `lanes` channels."""

    rows: int
    columns: int
    lanes: int


def slide(kernel: KernelView, name: str, tile: Tile, *, is_parallel: bool) -> Any:
    """The kernel's function with its blocks written out as loops over tiles. Tasks are bands of `tile.rows` rows, or,
    without rows, the inner tiles of a single sequence."""
    loops = _Loops(Window(kernel, name), tile, is_parallel)
    body = loops.emit()
    root = kernel.func.body.block
    block = SBlock([], root.reads, root.writes, "root", body, alloc_buffers=loops.buffers)
    return kernel.func.with_body(SBlockRealize([], True, block))


class _Loops:
    def __init__(self, window: Window, tile: Tile, is_parallel: bool) -> None:
        self.window, self.tile = window, tile
        batch, *outer, self.width, self.channels = window.extents
        self.has_rows = bool(outer)
        self.height = outer.pop() if outer else 1
        self.tasks = (batch, *outer, -(-self.height // tile.rows)) if self.has_rows else (batch,)
        self.kind = ForKind.PARALLEL if is_parallel else ForKind.SERIAL
        self.buffers: list[Buffer] = []
        """The register tiles: one for each piece of code."""
        self.analyzer = Analyzer()

    def emit(self) -> Statement:
        task = self.variable("task", 0, prod(self.tasks))
        where: list[Expr] = []
        rest = task
        for extent in reversed(self.tasks):
            where.insert(0, self.analyzer.simplify(tirx.floormod(rest, extent)))
            rest = self.analyzer.simplify(tirx.floordiv(rest, extent))
        row = where.pop() * self.tile.rows if self.has_rows else integer(0)
        kind = self.kind if prod(self.tasks) > 1 else ForKind.SERIAL
        return For(task, integer(0), integer(prod(self.tasks)), kind, self._row_of_tiles(where, row))

    def _row_of_tiles(self, outer: list[Expr], row: Expr) -> Statement:
        """Tiles at the borders one by one, the others in a loop."""
        columns = self.tile.columns
        count = -(-self.width // columns)
        inner = [tile for tile in range(count) if self._is_inner(tile * columns)]
        first, end = (inner[0], inner[-1] + 1) if inner else (count, count)
        if count - (end - first) > BORDERS:
            first, end = 0, self.width // columns
        parts = [self._tiles(outer, row, integer(tile * columns)) for tile in range(first)]
        if end > first:
            tile = self.variable("tile", first, end)
            kind = self.kind if prod(self.tasks) == 1 and end - first > 1 else ForKind.SERIAL
            body = self._tiles(outer, row, tile * columns)
            parts.append(For(tile, integer(first), integer(end - first), kind, body))
        parts += [self._tiles(outer, row, integer(tile * columns)) for tile in range(end, count)]
        return sequence(parts)

    def _is_inner(self, column: int) -> bool:
        """Whether all columns of the tile at `column` exist, and all that their windows read; conditions are monotone,
        so that the tile's corners speak for it."""
        window, last = self.window, self.tile.columns - 1
        corners = [(column, 0), (column + last, window.window[-1] - 1)]
        where = [{window.positions[-2]: integer(x), window.taps[-1]: integer(k)} for x, k in corners]
        conditions = [condition for condition in window.inside if window.of_columns(condition)]
        return column + last < self.width and all(
            self.analyzer.can_prove(replaced(condition, at)) for condition in conditions for at in where
        )

    def _tiles(self, outer: list[Expr], row: Expr, column: Expr) -> Statement:
        """The tiles of all channels at one place."""
        vectors = -(-self.channels // self.tile.lanes)
        number = self.variable("vector", 0, vectors)
        start = number * self.tile.lanes
        if self.channels % self.tile.lanes:
            start = tirx.min(start, self.channels - self.tile.lanes)
        columns = self.tile.columns
        if isinstance(column, tirx.IntImm):
            columns = min(columns, self.width - int(column))
        shape = (self.tile.rows, columns, self.tile.lanes)
        sums = tirx.decl_buffer(shape, "float32", name=f"sums{len(self.buffers)}", scope="local")
        self.buffers.append(sums)
        body = _Tile(self, sums, outer, row, column, start).emit()
        return For(number, integer(0), integer(vectors), ForKind.SERIAL, body)

    def variable(self, name: str, first: int, end: int) -> Any:
        """A loop's variable, from `first` to before `end`."""
        variable = tirx.Var(name, "int32")
        self.analyzer.bind(variable, Range(first, end))
        return variable

    def position(self, outer: list[Expr], row: Expr, column: Expr, channel: Expr) -> list[Expr]:
        """An index into the output."""
        return [*outer, row, column, channel] if self.has_rows else [*outer, column, channel]


@dataclass(frozen=True, eq=False)
class _Tile:
    """One register tile: its first position, and its accumulators."""

    own: _Loops
    sums: Buffer
    outer: list[Expr]
    row: Expr
    column: Expr
    start: Expr

    @property
    def places(self) -> list[tuple[int, int]]:
        """Rows and columns of the accumulators."""
        rows, columns, _ = (int(extent) for extent in self.sums.shape)
        return [(r, c) for r in range(rows) for c in range(columns)]

    def emit(self) -> Statement:
        window, own = self.window, self.own
        taps = [own.variable(f"k{axis}", 0, extent) for axis, extent in enumerate(window.window)]
        unrolled = window.window[-1] <= UNROLLED_COLUMNS
        columns = [integer(k) for k in range(window.window[-1])] if unrolled else taps[-1:]
        added = [self._row(r, taps[:-1], columns) for r in range(own.tile.rows)]
        body = sequence([part for part in added if part is not None] or [tirx.Evaluate(integer(0))])
        for tap, extent in reversed(list(zip(taps[: -1 if unrolled else None], window.window, strict=False))):
            body = For(tap, integer(0), integer(extent), ForKind.SERIAL, body)
        begun = [self._begin(r, c) for r, c in self.places]
        stored = [
            self._guarded(r, sequence([self._store(r, c) for q, c in self.places if q == r]), [], {})
            for r in range(own.tile.rows)
        ]
        return sequence([*begun, body, *stored])

    @property
    def window(self) -> Window:
        """What the tile computes."""
        return self.own.window

    def _row(self, r: int, taps: list[Expr], columns: list[Expr]) -> Statement | None:
        """What one row of the window adds to row `r` of the tile; None where that is outside the input."""
        of_columns = [condition for condition in self.window.inside if self.window.of_columns(condition)]
        of_rows = [condition for condition in self.window.inside if not self.window.of_columns(condition)]
        parts = []
        for column in columns:
            for c in (c for q, c in self.places if q == r):
                where = self._where(r, c, [*taps, column])
                test = self._test(of_columns, where)
                if self.own.analyzer.can_prove(tirx.Not(test)):
                    continue
                part = self._add(r, c, where)
                parts.append(part if self.own.analyzer.can_prove(test) else IfThenElse(test, part, None))
        if not parts:
            return None
        return self._guarded(r, sequence(parts), of_rows, self._where(r, 0, [*taps, columns[0]]))

    def _where(self, r: int, c: int, taps: list[Expr]) -> dict[Any, Expr]:
        """The values of the window's axes for one tap of an accumulator, at the first lane."""
        position = self.own.position(self.outer, self.row + r, self.column + c, self.start)
        return dict(zip([*self.window.positions, *self.window.taps], [*position, *taps], strict=True))

    def _test(self, conditions: list[Expr], where: dict[Any, Expr]) -> Expr:
        tests = [replaced(condition, where) for condition in conditions]
        return self.own.analyzer.simplify(tirx.all(tirx.const(True, "bool"), *tests))

    def _guarded(self, r: int, body: Statement, conditions: list[Expr], where: dict[Any, Expr]) -> Statement:
        """`body` under those conditions, and that row `r` of the tile exists."""
        own = self.own
        test = own.analyzer.simplify(tirx.all(self.row + r < own.height, self._test(conditions, where)))
        return body if own.analyzer.can_prove(test) else IfThenElse(test, body, None)

    def _begin(self, r: int, c: int) -> Statement:
        return self._vector(lambda lane: BufferStore(self.sums, self.window.start, [r, c, lane]))

    def _add(self, r: int, c: int, where: dict[Any, Expr]) -> Statement:
        window = self.window

        def add(lane: Expr) -> Statement:
            at = where | {window.positions[-1]: self.start + lane}
            value = replaced(window.update, at, {window.accumulator: lambda *_: self.sums[r, c, lane]})
            return BufferStore(self.sums, value, [r, c, lane])

        return self._vector(add)

    def _store(self, r: int, c: int) -> Statement:
        window = self.window

        def store(lane: Expr) -> Statement:
            position = self.own.position(self.outer, self.row + r, self.column + c, self.start + lane)
            where = dict(zip(window.out_axes, position, strict=True))
            value = replaced(window.out.value, where, {window.accumulator: lambda *_: self.sums[r, c, lane]})
            return BufferStore(window.out.buffer, value, [replaced(index, where) for index in window.out.indices])

        return self._vector(store)

    def _vector(self, body: Callable[[Expr], Statement]) -> Statement:
        return vector(self.own.tile.lanes, body)
