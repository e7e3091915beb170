"""Recurrent layers as one kernel: loops over tiles of rows, steps and blocks of units, written out as they are.

A step reads what the one before has written, which a tensor expression cannot say. Loops are serial here; a schedule
rule knows them by the names of their variables: `tile` and `block` may run in parallel, `row`, `gate` and `vector` are
the register tile, `lane` is one vector. For the threads of a GPU, those of `thread` share each phase of a step, whose
states and sums they all see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import te, tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script.builder import ir as T  # noqa: N812

from convc import ops
from convc.errors import UnsupportedError
from convc.ir import Array, Shape
from convc.lower.activation import unary
from convc.lower.anchor import Packing
from convc.lower.contraction import split_sum
from convc.lower.layout import Layout
from convc.lower.math import Expr, f32, let
from convc.ops.recurrent import Chain

Buffer = Any
Source = Callable[[Expr, Expr], Expr]
"""What is multiplied: an element by its row and its place in the sum."""

THREADS = 512
"""Threads of a GPU that share a tile of rows, at most: each has up to 128 registers."""
PART = 8
"""Products that are worth a thread of their own."""
SHARED = 48 << 10
"""Bytes of states and sums that a GPU's threads can share."""
STATES = 4
"""Numbers of a unit that they share, at most."""

ATTRIBUTE = "recurrent"
"""The function's attribute that says, in this order: sequences, units, gates."""


@dataclass(frozen=True)
class PackedGates(Packing):
    """U, gates * U to blocks of units, U, gates, lanes: what a block of units reads is contiguous."""

    gates: int
    lanes: int

    def shape(self, shape: Shape) -> Shape:
        return (-(-shape[0] // self.lanes), shape[0], self.gates, self.lanes)

    def apply(self, value: Array) -> Array:
        units = value.shape[0]
        blocks = self.shape(value.shape)[0]
        split = value.reshape(units, self.gates, units)
        padded = np.pad(split, ((0, 0), (0, 0), (0, blocks * self.lanes - units)))
        return np.ascontiguousarray(padded.reshape(units, self.gates, blocks, self.lanes).transpose(2, 0, 1, 3))


def recurrent(op: ops.Recurrent, name: str, shapes: Sequence[Shape], places: Sequence[int], layout: Layout) -> Any:
    """The PrimFunc over buffers of `shapes`, the output last; the op's inputs are those at `places`, the kernel packed.

    A tile has `layout.rows` sequences; what it computes at a time are `layout.columns` vectors of units.
    """
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name(name)
        T.func_attr({"global_symbol": name, "tirx.noalias": True})
        buffers = [T.arg(f"p{index}", T.buffer(shape, "float32")) for index, shape in enumerate(shapes)]
        with T.sblock("root"), T.sblock("recurrent"):
            *read, written = ([slice(0, extent) for extent in shape] for shape in shapes)
            T.reads(*(buffer[tuple(part)] for buffer, part in zip(buffers, read, strict=False)))
            T.writes(buffers[-1][tuple(written)])
            _Kernel(op, [buffers[place] for place in places], buffers[-1], layout).emit()
    batch, _, width = shapes[places[0]]
    return builder.get().with_attr(ATTRIBUTE, [batch, width // op.gates, op.gates])


class _Kernel:
    """Emits the loops into the current builder."""

    def __init__(self, op: ops.Recurrent, inputs: Sequence[Buffer], out: Buffer, layout: Layout) -> None:
        self.op, self.vectors, self.is_threaded, self.scope = op, layout.columns, layout.threads, "global"
        self.x, self.kernel, self.out = inputs[0], inputs[1], out
        self.behind = {name: inputs[at] for name, at in op.split(inputs).items()}
        self.batch, self.steps, width = (int(extent) for extent in self.x.shape)
        self.units = width // op.gates
        self.lanes = layout.lanes
        self.rows = min(layout.rows, self.batch)
        if self.is_threaded:
            self._share()
        self.h = self._state("h", 2)
        """Twice: that before the step and that after it."""
        self.c: Buffer = self._state("c") if op.state_count == 2 else None
        if isinstance(op, ops.Gru) and not op.reset_after:
            self.update, self.reset = self._state("update"), self._state("reset")

    def _share(self) -> None:
        """How the threads of a GPU share a tile: `parts` of a unit's sums are made by threads of their own. A tile has
        several rows only where all threads have units: TVM puts no barrier into a condition."""
        self.lanes, self.scope = self.units, "shared"
        self.rows = 1 if self.units % min(self.units, THREADS) else self.rows
        self.parts = max(1, min(THREADS // self.units, self.units // PART)) if self.rows == 1 else 1
        if self.units * (STATES + self.parts * self.op.gates) * 4 > SHARED:
            self.parts = 1
        self.threads = min(THREADS, self.parts * self.units)
        if self.rows * self.units * STATES * 4 > SHARED:
            raise UnsupportedError(
                self.op.kind,
                "a layer with that many units on a GPU",
                expected=f"at most {SHARED // (4 * STATES)}",
                received=str(self.units),
            )

    def emit(self) -> None:
        """Tiles of sequences; in each the states at the start, the steps, and the rows behind them."""
        op = self.op
        with _loop("tile", -(-self.batch // self.rows)) as self.tile:
            for row, unit in self._every_unit():
                T.buffer_store(self.h, self._start("h", row, unit), [0, row, unit])
                if self.c is not None:
                    T.buffer_store(self.c, self._start("c", row, unit), [row, unit])
            with _loop("step", self.steps) as step:
                position = self.steps - 1 - step if op.backwards else step
                _Step(self, step, position).emit()
            for row, unit in self._every_unit():
                self._behind_steps(row, unit)

    def n(self, row: Expr) -> Expr:
        """The sequence of a row; a last tile that is not full has the last sequence several times."""
        first = self.tile * self.rows + row
        return te.min(first, self.batch - 1) if self.batch % self.rows else first

    def kept(self, row: Expr, position: Expr) -> Expr:
        """Whether the step at `position` counts."""
        return self.behind["mask"][self.n(row), position] != f32(0.0)

    def _behind_steps(self, row: Expr, unit: Expr) -> None:
        op, h = self.op, self.h[self.steps % 2, row, unit]
        rows = [] if op.sequences else [h]
        if not op.sequences and op.has_mask and op.zero_masked:
            last = 0 if op.backwards else self.steps - 1
            rows = [tirx.Select(self.kept(row, last), h, f32(0.0))]
        if op.states:
            rows += [h] if self.c is None else [h, self.c[row, unit]]
        for place, value in enumerate(rows, self.steps if op.sequences else 0):
            T.buffer_store(self.out, value, [self.n(row), place, unit])

    def _start(self, name: str, row: Expr, unit: Expr) -> Expr:
        return self.behind[name][self.n(row), unit] if self.op.has_state else f32(0.0)

    def _every_unit(self) -> Iterator[tuple[Expr, Expr]]:
        """Once, or for each row, inside a loop over what is left of all rows and units."""
        if self.is_threaded:
            for unit in self.items(self.units):
                yield from ((row, unit) for row in range(self.rows))
            return
        with _loop("row", self.rows) as row:
            yield from ((row, unit) for unit in self._units())

    def items(self, count: int) -> Iterator[Expr]:
        """Once, inside a loop over `count` items that the threads share."""
        for item in self.places(count):
            with self.below(item, count):
                yield item

    def places(self, count: int) -> Iterator[Expr]:
        """Once, inside a loop over `count` items or some more."""
        with _loop("chunk", -(-count // self.threads)) as chunk, _loop("thread", self.threads) as thread:
            yield chunk * self.threads + thread

    @contextmanager
    def below(self, item: Expr, count: int) -> Iterator[None]:
        """Inside a condition, unless all places are items."""
        with ExitStack() as stack:
            if count % self.threads:
                stack.enter_context(T.If(item < count))
                stack.enter_context(T.Then())
            yield

    def _units(self) -> Iterator[Expr]:
        whole = self.units // self.lanes
        if whole:
            with _loop("vectors", whole) as vector, _loop("lane", self.lanes) as lane:
                yield vector * self.lanes + lane
        if self.units % self.lanes:
            with _loop("lane", self.units % self.lanes) as lane:
                yield whole * self.lanes + lane

    def _state(self, name: str, *leading: int) -> Buffer:
        shape = (*leading, self.rows, -(-self.units // self.lanes) * self.lanes)
        return _named(name, T.sblock_alloc_buffer(shape, scope=self.scope))


@dataclass(frozen=True)
class _Step:
    """One step; `position` is its place in the input."""

    own: _Kernel
    step: Expr
    position: Expr

    def emit(self) -> None:
        """The products with the state before the step, a few vectors of units at a time, and what follows from them."""
        match self.own.op:
            case ops.SimpleRnn():
                self._sweep((0,), self._h, self._simple)
            case ops.Lstm():
                self._sweep((0, 1, 2, 3), self._h, self._lstm)
            case ops.Gru(reset_after=True):
                self._sweep((0, 1, 2), self._h, self._gru)
            case ops.Gru():
                self._sweep((0, 1), self._h, self._gates)
                self._sweep((2,), lambda row, unit: self.own.reset[row, unit], self._candidate)
            case op:
                raise AssertionError(f"no lowering for {op.kind}")

    def _sweep(self, gates: tuple[int, ...], source: Source, finish: Callable[..., None]) -> None:
        """`finish(row, unit, *sums)` for all rows and units, with the product of `source` and the kernel of `gates`."""
        own = self.own
        if own.is_threaded:
            self._threads(gates, source, finish)
            return
        width = own.vectors * own.lanes
        whole, rest = divmod(own.units, width)
        if whole:
            with _loop("block", whole) as block:
                self._block(block * own.vectors, (own.lanes,) * own.vectors, gates, source, finish)
        if rest:
            widths = (own.lanes,) * (rest // own.lanes) + ((rest % own.lanes,) if rest % own.lanes else ())
            self._block(whole * own.vectors, widths, gates, source, finish)

    def _block(
        self,
        first: Expr,
        widths: tuple[int, ...],
        gates: tuple[int, ...],
        source: Source,
        finish: Callable[..., None],
    ) -> None:
        """The units of vectors `first` and those behind it, of which `widths` are units."""
        own = self.own
        shape = (own.rows, len(gates), len(widths), own.lanes)
        (blocks,), (inner,) = split_sum((own.units,))
        sums = _named("sums", T.sblock_alloc_buffer(shape, scope="local"))
        total = sums if blocks == 1 else _named("total", T.sblock_alloc_buffer(shape, scope="local"))

        def add(target: Buffer, value: Callable[..., Expr], *, fresh: bool = False) -> None:
            with _loops(("row", "gate", "vector", "lane"), shape) as at:
                T.buffer_store(target, value(*at) if fresh else target[tuple(at)] + value(*at), list(at))

        def product(k: Expr) -> Callable[..., Expr]:
            return lambda row, gate, vector, lane: source(row, k) * own.kernel[first + vector, k, gates[0] + gate, lane]

        add(total, lambda *_: f32(0.0), fresh=True)
        if blocks == 1:
            with _loop("k", inner) as k:
                add(sums, product(k))
        else:
            with _loop("part", blocks) as part:
                add(sums, lambda *_: f32(0.0), fresh=True)
                with _loop("k", inner) as k:
                    add(sums, product(part * inner + k))
                add(total, lambda *at: sums[at])
        for vector, width in enumerate(widths):
            with _loops(("row", "lane"), (own.rows, width)) as (row, lane):
                unit = (first + vector) * own.lanes + lane
                finish(row, unit, *(total[row, gate, vector, lane] for gate in range(len(gates))))

    def _threads(self, gates: tuple[int, ...], source: Source, finish: Callable[..., None]) -> None:
        """All units, by threads that make a part of a unit's sums each, before others finish them."""
        own = self.own
        tile = (own.rows, len(gates))
        sums = _named("sums", T.sblock_alloc_buffer(tile, scope="local"))
        total = _named("total", T.sblock_alloc_buffer(tile, scope="local"))
        if own.parts == 1:
            for unit in own.places(own.units):
                self._sum(sums, total, (0, te.min(unit, own.units - 1)), gates, source)
                with own.below(unit, own.units):
                    for row in range(own.rows):
                        finish(row, unit, *(total[row, gate] for gate in range(len(gates))))
            return
        shape = (own.parts, own.units, *tile)
        shared = _named("shared", T.sblock_alloc_buffer(shape, scope=own.scope))
        for item in own.items(own.parts * own.units):
            part, unit = item // own.units, item % own.units
            self._sum(sums, total, (part, unit), gates, source)
            with _loops(("row", "gate"), tile) as at:
                T.buffer_store(shared, total[tuple(at)], [part, unit, *at])
        for unit in own.items(own.units):
            for row in range(own.rows):
                parts = [[shared[part, unit, row, gate] for part in range(own.parts)] for gate in range(len(gates))]
                finish(row, unit, *(sum(own_parts[1:], own_parts[0]) for own_parts in parts))

    def _sum(self, sums: Buffer, total: Buffer, place: Sequence[Expr], gates: tuple[int, ...], source: Source) -> None:
        """What a thread adds up: `total` of the rows and gates at `place`, which is a part of the sum and a unit."""
        own, (part, unit) = self.own, place
        tile = (own.rows, len(gates))
        size = -(-own.units // own.parts)
        (blocks,), (inner,) = split_sum((size,))

        def fill(target: Buffer, value: Callable[..., Expr]) -> None:
            with _loops(("row", "gate"), tile) as at:
                T.buffer_store(target, value(*at), at)

        fill(total, lambda *_: f32(0.0))
        with _loop("block", blocks) as block:
            fill(sums, lambda *_: f32(0.0))
            with _loop("k", inner) as k, _loops(("row", "gate"), tile) as (row, gate):
                term = part * size + block * inner + k
                value = source(row, term) * own.kernel[0, term, gates[0] + gate, unit]
                if own.units % own.parts:
                    value = te.if_then_else(term < own.units, value, f32(0.0))
                T.buffer_store(sums, sums[row, gate] + value, [row, gate])
            fill(total, lambda *at: total[at] + sums[at])

    def _simple(self, row: Expr, unit: Expr, product: Expr) -> None:
        self._store(row, unit, apply(self.own.op.activation, self._x(row, unit, 0) + product))

    def _lstm(self, row: Expr, unit: Expr, *products: Expr) -> None:
        op, cell = self.own.op, self.own.c
        i, f, g, o = (self._x(row, unit, gate) + product for gate, product in enumerate(products))
        kept = apply(op.recurrent_activation, f) * cell[row, unit]
        new = kept + apply(op.recurrent_activation, i) * apply(op.activation, g)
        T.buffer_store(cell, self._masked(row, new, cell[row, unit]), [row, unit])
        self._store(row, unit, apply(op.recurrent_activation, o) * apply(op.activation, cell[row, unit]))

    def _gru(self, row: Expr, unit: Expr, *products: Expr) -> None:
        op = self.own.op
        z, r, candidate = (product + self._bias(unit, gate) for gate, product in enumerate(products))
        reset = apply(op.recurrent_activation, self._x(row, unit, 1) + r)
        new = apply(op.activation, self._x(row, unit, 2) + reset * candidate)
        self._mix(row, unit, apply(op.recurrent_activation, self._x(row, unit, 0) + z), new)

    def _gates(self, row: Expr, unit: Expr, *products: Expr) -> None:
        op, own = self.own.op, self.own
        z, r = (apply(op.recurrent_activation, self._x(row, unit, gate) + p) for gate, p in enumerate(products))
        T.buffer_store(own.update, z, [row, unit])
        T.buffer_store(own.reset, r * self._h(row, unit), [row, unit])

    def _candidate(self, row: Expr, unit: Expr, product: Expr) -> None:
        new = apply(self.own.op.activation, self._x(row, unit, 2) + product)
        self._mix(row, unit, self.own.update[row, unit], new)

    def _mix(self, row: Expr, unit: Expr, update: Expr, new: Expr) -> None:
        """h = update * h + (1 - update) * new."""
        self._store(row, unit, let(update, lambda z: z * self._h(row, unit) + (f32(1.0) - z) * new))

    def _store(self, row: Expr, unit: Expr, h: Expr) -> None:
        """The state after the step, and the step's row of the output."""
        own, op = self.own, self.own.op
        after = own.h[(self.step + 1) % 2, row, unit]
        T.buffer_store(own.h, self._masked(row, h, self._h(row, unit)), [(self.step + 1) % 2, row, unit])
        if op.sequences:
            seen = self._masked(row, after, f32(0.0)) if op.zero_masked else after
            T.buffer_store(own.out, seen, [own.n(row), self.position if op.aligned else self.step, unit])

    def _masked(self, row: Expr, value: Expr, otherwise: Expr) -> Expr:
        return tirx.Select(self.own.kept(row, self.position), value, otherwise) if self.own.op.has_mask else value

    def _h(self, row: Expr, unit: Expr) -> Expr:
        return self.own.h[self.step % 2, row, unit]

    def _x(self, row: Expr, unit: Expr, gate: int) -> Expr:
        return self.own.x[self.own.n(row), self.position, gate * self.own.units + unit]

    def _bias(self, unit: Expr, gate: int) -> Expr:
        return self.own.behind["bias"][gate * self.own.units + unit] if self.own.op.has_bias else f32(0.0)


def apply(chain: Chain, x: Expr) -> Expr:
    """The functions of `chain` in turn."""
    for op in chain:
        x = unary(op, x)
    return x


@contextmanager
def _loops(names: Sequence[str], extents: Sequence[int]) -> Iterator[list[Expr]]:
    with ExitStack() as stack:
        yield [stack.enter_context(_loop(name, extent)) for name, extent in zip(names, extents, strict=True)]


@contextmanager
def _loop(name: str, extent: int) -> Iterator[Expr]:
    with T.serial(extent) as variable:
        yield _named(name, variable)


def _named(name: str, value: Any) -> Any:
    IRBuilder.name(name, value)
    return value
