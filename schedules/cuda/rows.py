"""Kernels that reduce rows and then use what came out: the loops of one team of threads, which has a row to itself.

A row is what is reduced to one number: it may lie along the last axis or across it. Where a thread's part of the row
fits in its registers, the row is read once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from tvm import tirx
from tvm.tirx import BufferStore, FloorDiv, IfThenElse, Var

from convc.schedules.cuda.loops import unravel
from convc.schedules.cuda.registers import Registers, Value, Written, at_lane, bound, copied, unrolled
from convc.schedules.cuda.team import Team
from convc.schedules.replace import loads_of, replaced, uses
from convc.schedules.rule import KernelView
from convc.schedules.statements import counted, integer, sequence

Expr = Any
Buffer = Any
Statement = Any

STEMS = ("reduce", "maximum", "total", "sum", "squares")
"""Names of blocks that reduce rows."""
AT_ONCE = 4
"""Reads that a thread begins before it uses the first, where the row is not kept."""


@dataclass(frozen=True, eq=False)
class Rows:
    """The blocks of a kernel of rows: some that reduce, one or none of elements between them, and `out`.

    `kept` and `summed` are the extents of the rows' numbers and of a row; `load` is the read of the tensor that is
    reduced, over the axes of the first block that reduces.
    """

    blocks: Mapping[str, Any]
    kept: tuple[int, ...]
    summed: tuple[int, ...]

    @classmethod
    def of(cls, kernel: KernelView) -> Rows | None:
        """What the kernel says; None where its blocks are not of this kind."""
        blocks = {name: kernel.sch.get(kernel.block(name)) for name in kernel.blocks}
        reducing = [name for name in blocks if kernel.domain(name)[1]]
        domains = {kernel.domain(name) for name in reducing}
        if len(domains) != 1 or "out" not in blocks or any(blocks[name].init is None for name in reducing):
            return None
        ((kept, summed),) = domains
        rows = cls(blocks, kept, summed)
        known = {*STEMS, "out", "power"}
        if not known.issuperset(blocks) or len(loads_of(rows.first.body.value, rows.source)) == 0:
            return None
        return rows

    @property
    def reducing(self) -> list[str]:
        """The names of the blocks that reduce."""
        return [name for name, block in self.blocks.items() if block.init is not None]

    @property
    def first(self) -> Any:
        """The first block that reduces."""
        return self.blocks[self.reducing[0]]

    @property
    def source(self) -> Buffer:
        """The tensor that is reduced."""
        own = self.first.body.buffer
        return next(read.source for read in self.first.reads if not read.source.same_as(own))

    @property
    def load(self) -> Any:
        """Its read, over the axes of the first block that reduces."""
        return loads_of(self.first.body.value, self.source)[0]

    @property
    def is_across(self) -> bool:
        """Whether the last axis of the tensor is not reduced."""
        taps = [axis.var for axis in self.first.iter_vars if int(axis.iter_type) != 0]
        return not uses(self.load.indices[-1], taps)

    @property
    def is_of_elements(self) -> bool:
        """Whether the output has an element for each of the rows'."""
        return "reduce" not in self.blocks

    @property
    def last(self) -> int:
        """Elements of the tensor that lie in a row and are all reduced, or all kept."""
        return self.kept[-1] if self.is_across else self.summed[-1]

    def place(self, row: Sequence[Expr], taps: Sequence[Expr]) -> dict[Any, Expr] | None:
        """The output's axes at an element of a row; None where they are not known."""
        out = self.blocks["out"]
        axes = [axis.var for axis in out.iter_vars]
        if not self.is_of_elements:
            extents = [int(axis.dom.extent) for axis in out.iter_vars]
            return _linear(axes, extents, row, self.kept) if prod(extents) == prod(self.kept) else None
        sums = next((found for name in self.reducing for found in loads_of(out.body.value, self._written(name))), None)
        if sums is None:
            return None
        where: dict[Any, Expr] = {}
        for index, number in zip(sums.indices, row, strict=True):
            if isinstance(index, Var):
                where[index] = number
            elif isinstance(index, FloorDiv) and isinstance(index.a, Var):
                where[index.a] = number * index.b + taps[-1]
        rest = [axis for axis in axes if axis not in where]
        own = taps[: len(rest)]
        return where | dict(zip(rest, own, strict=True)) if len(own) == len(rest) else None

    def _written(self, name: str) -> Buffer:
        return self.blocks[name].body.buffer


def _linear(axes: Sequence[Any], extents: Sequence[int], row: Sequence[Expr], kept: Sequence[int]) -> dict[Any, Expr]:
    """`axes` at the element of the number that `row` is in `kept`: both are the same elements in the same order."""
    own = [(number, extent) for number, extent in zip(row, kept, strict=True) if extent > 1]
    where: dict[Any, Expr] = {axis: integer(0) for axis, extent in zip(axes, extents, strict=True) if extent == 1}
    free = [axis for axis, extent in zip(axes, extents, strict=True) if extent > 1]
    if [extent for extent in extents if extent > 1] == [extent for _, extent in own]:
        return where | {axis: number for axis, (number, _) in zip(free, own, strict=True)}
    number: Expr = integer(0)
    for index, extent in zip(row, kept, strict=True):
        number = number * extent + index
    return dict(zip(axes, unravel(number, extents), strict=True))


class RowLoops:
    """Writes the loops of a kernel of rows. `is_kept`: a thread's part of a row stays in its registers.

    Rows in several `chunks` have a nest for each block: teams add up what they have of a row, and leave it to all teams
    of the next nest, which add up the chunks first.
    """

    def __init__(self, kernel: KernelView, rows: Rows, team: Team, *, is_kept: bool, chunks: int = 1) -> None:
        assert chunks == 1 or not is_kept
        self.kernel, self.rows, self.team, self.is_kept, self.chunks = kernel, rows, team, is_kept, chunks
        self.registers = Registers()
        self.lanes = team.lanes
        across = team.across
        self.units = prod(rows.kept) // (team.lanes if across else 1)
        self.pieces = prod(rows.summed) // (1 if across else team.lanes)
        self.steps = -(-self.pieces // (team.size * chunks))
        self.totals: dict[Buffer, Value] = {}
        self.elements: dict[Buffer, Value] = {}

    def emit(self) -> Any:
        """The function."""
        names = list(self.rows.blocks)
        if self.chunks == 1:
            return self.registers.function(self.kernel, self._nest(names))
        self.parts: dict[Buffer, Buffer] = {}
        """What teams leave to the next nest."""
        return self.registers.function(self.kernel, sequence([self._nest([name]) for name in names]))

    def _nest(self, names: Sequence[str]) -> Statement:
        """Blocks one after the other in the same threads."""
        chunks = self.chunks if self.rows.is_of_elements or names != ["out"] else 1
        grid = -(-self.units // self.team.count) * chunks
        self.totals = {}
        size = self.steps * self.lanes if self.is_kept else self.lanes
        self.read = self.registers.make([size], str(self.rows.source.dtype))

        def thread(block: Expr, thread: Expr) -> Statement:
            team, self.member = self.team.place(thread)
            self.thread = thread
            self.chunk = block % chunks
            unit = block // chunks * self.team.count + team
            self.is_row = unit < self.units if self.units % self.team.count else None
            self.unit = tirx.min(unit, self.units - 1) if self.is_row is not None else unit
            return sequence(self._blocks(names))

        return bound("blockIdx.x", grid, lambda b: bound("threadIdx.x", self.team.threads, lambda t: thread(b, t)))

    def _blocks(self, names: Sequence[str]) -> list[Statement]:
        parts: list[Statement] = []
        if self.chunks > 1:
            for own, left in self.parts.items():
                parts.append(self._joined(own, left))
        for name in names:
            own = self.rows.blocks[name]
            if own.init is not None:
                parts += self._reduced(own, is_first=not self.totals)
            elif name == "power":
                parts += [self._kept_elements(own)] if self.is_kept else []
            else:
                parts.append(self._written(own))
        return parts

    def _first_lane(self) -> Expr:
        """The first of the totals that a team makes."""
        return self.unit * (self.lanes if self.team.across else 1)

    def _left(self, own: Buffer, total: Buffer) -> Statement:
        """A team's total of its chunk in memory."""
        lanes = self.lanes if self.team.across else 1
        left = self.registers.make([self.chunks, self.units * lanes], str(own.dtype), "global")
        self.parts[own] = left
        first = self._first_lane()
        store = unrolled("lane", lanes, lambda lane: BufferStore(left, total[lane], [self.chunk, first + lane]))
        return self._by_first(store)

    def _joined(self, own: Buffer, left: Buffer) -> Statement:
        """The total of all chunks, in each thread."""
        lanes = self.lanes if self.team.across else 1
        total = self.registers.make([lanes], str(own.dtype))
        block = next(block for block in self.rows.blocks.values() if block.body.buffer.same_as(own))
        combine, first = type(block.body.value), self._first_lane()
        self.totals[own] = (lambda lane: total[lane]) if self.team.across else (lambda _: total[0])

        def add(chunk: Expr) -> Statement:
            def one(lane: Expr) -> Statement:
                return BufferStore(total, combine(total[lane], left[chunk + 1, first + lane]), [lane])

            return unrolled("lane", lanes, one)

        begun = unrolled("lane", lanes, lambda lane: BufferStore(total, left[0, first + lane], [lane]))
        return sequence([begun, counted("chunk", self.chunks - 1, add)])

    def _by_first(self, body: Statement) -> Statement:
        """`body` by one thread of each team that has a row."""
        conditions = [] if self.team.size == 1 else [self.member == 0]
        conditions += [] if self.is_row is None else [self.is_row]
        return IfThenElse(tirx.all(*conditions), body, None) if conditions else body

    def _each(self, body: Callable[[Expr], Statement]) -> Statement:
        """`body` for the numbers of a thread's pieces of its row, each by its step."""

        def checked(step: Expr) -> Statement:
            inside = self._piece(step) < self.pieces
            whole = self.pieces % (self.team.size * self.chunks) == 0
            return body(step) if whole else IfThenElse(inside, body(step), None)

        if self.is_kept:
            return unrolled("step", self.steps, checked)
        together = min(AT_ONCE, self.steps)

        def some(first: Expr) -> Statement:
            return unrolled("own", together, lambda own: self._limited(first * together + own, checked))

        return counted("step", -(-self.steps // together), some)

    def _limited(self, step: Expr, body: Callable[[Expr], Statement]) -> Statement:
        if self.steps % min(AT_ONCE, self.steps) == 0:
            return body(step)
        return IfThenElse(step < self.steps, body(step), None)

    def _piece(self, step: Expr) -> Expr:
        """The number of a piece in its row."""
        return (self.chunk * self.steps + step) * self.team.size + self.member

    def _row(self, step: Expr) -> tuple[list[Expr], list[Expr]]:
        """The row's numbers and the place in it at the first lane of a step."""
        rows, piece = self.rows, self._piece(step)
        if not self.team.across:
            taps = unravel(piece, (*rows.summed[:-1], rows.summed[-1] // self.lanes))
            return unravel(self.unit, rows.kept), [*taps[:-1], taps[-1] * self.lanes]
        kept = unravel(self.unit, (*rows.kept[:-1], rows.kept[-1] // self.lanes))
        return [*kept[:-1], kept[-1] * self.lanes], unravel(piece, rows.summed)

    def _axes(self, block: Any, step: Expr, lane: Expr) -> dict[Any, Expr]:
        kept, taps = self._row(step)
        (kept if self.team.across else taps)[-1] += lane
        spatial = [axis.var for axis in block.iter_vars if int(axis.iter_type) == 0]
        summed = [axis.var for axis in block.iter_vars if int(axis.iter_type) != 0]
        return dict(zip(spatial, kept, strict=True)) | dict(zip(summed, taps, strict=True))

    def _slot(self, step: Expr, lane: Expr) -> Expr:
        return step * self.lanes + lane if self.is_kept else lane

    def _load(self, step: Expr) -> Statement:
        first, load = self.rows.first, self.rows.load

        def here(lane: Expr) -> list[Expr]:
            return [replaced(index, self._axes(first, step, lane)) for index in load.indices]

        return copied(self.read, lambda lane: [self._slot(step, lane)], self.rows.source, here, self.lanes)

    def _reads(self, step: Expr, lane: Expr) -> dict[Buffer, Callable[..., Expr]]:
        """What is in registers at an element: the tensor that is reduced, elements between, and totals."""
        place = self._slot(step, lane)
        reads: dict[Buffer, Callable[..., Expr]] = {self.rows.source: lambda *_: self.read[place]}
        reads |= {buffer: at_lane(value, lane) for buffer, value in self.totals.items()}
        reads |= {buffer: at_lane(value, place) for buffer, value in self.elements.items()}
        if not self.is_kept and self.between is not None:
            value = self._value(self.between, reads)
            reads[self.between.body.buffer] = lambda *_: value
        return reads

    def _reduced(self, block: Any, *, is_first: bool) -> list[Statement]:
        own = block.body.buffer
        part = self.registers.make([self.lanes], str(own.dtype))

        def add(step: Expr) -> Statement:
            def one(lane: Expr) -> Statement:
                reads = self._reads(step, lane) | {own: lambda *_: part[lane]}
                return BufferStore(part, replaced(block.body.value, self._axes(block, step, lane), reads), [lane])

            adding = unrolled("lane", self.lanes, one)
            return sequence([self._load(step), adding]) if is_first or not self.is_kept else adding

        begun = unrolled("lane", self.lanes, lambda lane: BufferStore(part, block.init.value, [lane]))
        combine = type(block.body.value)
        total, adding = self.team.total(self.registers, part, self.thread, combine)
        self.totals[own] = (lambda lane: total[lane]) if self.team.across else (lambda _: total[0])
        left = [self._left(own, total)] if self.chunks > 1 else []
        return [begun, self._each(add), adding, *left]

    @property
    def between(self) -> Any:
        """The block of elements between those that reduce, if any."""
        return self.rows.blocks.get("power")

    @staticmethod
    def _value(block: Any, reads: Mapping[Buffer, Callable[..., Expr]]) -> Expr:
        """Its element where all that it reads is known by its buffer."""
        axes = [axis.var for axis in block.iter_vars]
        return replaced(block.body.value, dict.fromkeys(axes, integer(0)), reads)

    def _kept_elements(self, block: Any) -> Statement:
        values = self.registers.make([self.steps * self.lanes], str(block.body.buffer.dtype))

        def fill(step: Expr) -> Statement:
            def one(lane: Expr) -> Statement:
                value = self._value(block, self._reads(step, lane))
                return BufferStore(values, value, [self._slot(step, lane)])

            return unrolled("lane", self.lanes, one)

        self.elements[block.body.buffer] = lambda place: values[place]
        return self._each(fill)

    def _written(self, block: Any) -> Statement:
        out = Written(block.body, [axis.var for axis in block.iter_vars])
        if not self.rows.is_of_elements:
            self.chunk = integer(0)
            return self._by_first(self._store(out, integer(0), self.lanes if self.team.across else 1))

        def store(step: Expr) -> Statement:
            body = self._store(out, step, self.lanes)
            return body if self.is_kept else sequence([self._load(step), body])

        body = self._each(store)
        return body if self.is_row is None else IfThenElse(self.is_row, body, None)

    def _of_step(self, value: Value, step: Expr) -> Value:
        return lambda lane: value(self._slot(step, lane))

    def _store(self, out: Written, step: Expr, lanes: int) -> Statement:
        kept, taps = self._row(step)
        where = self.rows.place(kept, taps)
        assert where is not None
        made = dict(self.totals)
        if self.rows.is_of_elements:
            made[self.rows.source] = lambda lane: self.read[self._slot(step, lane)]
            for buffer, value in self.elements.items():
                made[buffer] = self._of_step(value, step)
            if not self.is_kept and self.between is not None:
                made[self.between.body.buffer] = lambda lane: self._value(self.between, self._reads(step, lane))
        return out.emit(self.registers, where, lanes, made)
