"""The loops of a product of two matrices in float32: a block has a tile of the result.

It copies tiles of both operands into shared memory, whichever way they lie in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from tvm import tirx
from tvm.tirx import BufferStore, FloorDiv, FloorMod, IfThenElse, Var

from convc.schedules.cuda.loops import unravel
from convc.schedules.cuda.registers import Registers, Written, bound, buffers_of, unrolled
from convc.schedules.cuda.team import barrier
from convc.schedules.cuda.vectors import depends, follows
from convc.schedules.replace import loads_of, replaced
from convc.schedules.rule import KernelView
from convc.schedules.statements import counted, integer, sequence

Expr = Any
Buffer = Any
Statement = Any

TILE = 64
"""Rows and columns of a tile."""
DEPTH = 16
"""Products of an element that a tile's operands are copied for."""
OWN = 4
"""Rows and columns of the result that a thread has."""
PITCH = TILE + OWN
"""From one row of a copied tile to the next: writes of a column go to different banks, reads of OWN are aligned."""
THREADS = (TILE // OWN) ** 2
CHAIN = 32
"""Tiles' products that are added up in a row; longer sums are sums of those."""


@dataclass(frozen=True, eq=False)
class Operands:
    """The reads of block `conv`: `left` goes along rows and not along columns, `right` the other way round."""

    left: Any
    right: Any
    place: Mapping[Any, int]
    """The output's axes, each by the number of that of `conv` that it is."""

    @classmethod
    def of(cls, kernel: KernelView) -> Operands | None:
        """What the kernel says; None where it is no such product."""
        if set(kernel.blocks) != {"conv", "out"}:
            return None
        block, out = (kernel.sch.get(kernel.block(name)) for name in ("conv", "out"))
        spatial = [axis.var for axis in block.iter_vars if int(axis.iter_type) == 0]
        row, column = spatial[-3], spatial[-1]
        reads = [buffer for buffer in buffers_of(block.body.value) if not buffer.same_as(block.body.buffer)]
        loads = [load for buffer in reads for load in loads_of(block.body.value, buffer)]
        left = [load for load in loads if not depends(load, column)]
        right = [load for load in loads if depends(load, column) and not depends(load, row)]
        sums = loads_of(out.body.value, block.body.buffer)
        if len(loads) != 2 or len(reads) != 2 or len(left) != 1 or len(right) != 1 or not sums:
            return None
        place: dict[Any, int] = {}
        for number, index in enumerate(sums[0].indices):
            inner = index.a if isinstance(index, FloorMod) else index
            if isinstance(inner, Var) and not isinstance(index, FloorDiv):
                place[inner] = number
        return cls(left[0], right[0], place) if len(place) == len(out.iter_vars) else None


class TiledLoops:
    """Writes the loops of blocks `conv`, whose domain is *batch, row, 1, column; the summed axes, and `out`."""

    def __init__(self, kernel: KernelView, operands: Operands) -> None:
        self.kernel, self.operands = kernel, operands
        self.block, self.out = (kernel.sch.get(kernel.block(name)) for name in ("conv", "out"))
        (*self.batch, self.rows, _, self.columns), self.summed = kernel.domain("conv")
        self.depth = prod(self.summed)
        self.spatial = [axis.var for axis in self.block.iter_vars if int(axis.iter_type) == 0]
        self.taps = [axis.var for axis in self.block.iter_vars if int(axis.iter_type) != 0]
        self.registers = Registers()
        self.left, self.right = (
            self.registers.make([DEPTH * PITCH], str(load.source.dtype), "shared")
            for load in (operands.left, operands.right)
        )
        self.sums, self.total = (self.registers.make([OWN, OWN], "float32") for _ in range(2))

    def emit(self) -> Any:
        """The function."""
        self.grid = [*self.batch, -(-self.rows // TILE), -(-self.columns // TILE)]
        body = bound("blockIdx.x", prod(self.grid), lambda b: bound("threadIdx.x", THREADS, lambda t: self._in(b, t)))
        return self.registers.function(self.kernel, body)

    def _in(self, block: Expr, thread: Expr) -> Statement:
        *self.outer, row, column = unravel(block, self.grid)
        self.row, self.column, self.thread = row * TILE, column * TILE, thread
        own_row, own_column = thread // (TILE // OWN) * OWN, thread % (TILE // OWN) * OWN
        tiles = -(-self.depth // DEPTH)
        chains = -(-tiles // CHAIN)
        length = -(-tiles // chains)

        def step(chain: Expr, number: Expr) -> Statement:
            first = (chain * length + number) * DEPTH
            copies = [self._copy(self.left, self.operands.left, first, is_left=True)]
            copies.append(self._copy(self.right, self.operands.right, first, is_left=False))
            added = counted("k", DEPTH, lambda k: self._each(lambda i, j: self._add(k, own_row, own_column, i, j)))
            return sequence([barrier(), *copies, barrier(), added])

        def run(chain: Expr) -> Statement:
            fresh = self._each(lambda i, j: BufferStore(self.sums, tirx.const(0.0, "float32"), [i, j]))
            return sequence(
                [fresh, counted("tile", length, lambda number: step(chain, number)), self._each(self._join)]
            )

        begun = self._each(lambda i, j: BufferStore(self.total, self.block.init.value, [i, j]))
        stored = [self._store(i, own_row + i, own_column) for i in range(OWN)]
        return sequence([begun, counted("chain", chains, run), *stored])

    @staticmethod
    def _each(body: Callable[[Expr, Expr], Statement]) -> Statement:
        return unrolled("i", OWN, lambda i: unrolled("j", OWN, lambda j: body(i, j)))

    def _join(self, i: Expr, j: Expr) -> Statement:
        return BufferStore(self.total, self.total[i, j] + self.sums[i, j], [i, j])

    def _add(self, k: Expr, own_row: Expr, own_column: Expr, i: Expr, j: Expr) -> Statement:
        reads: dict[Buffer, Callable[..., Expr]] = {
            self.block.body.buffer: lambda *_: self.sums[i, j],
            self.operands.left.source: lambda *_: self.left[k * PITCH + own_row + i],
            self.operands.right.source: lambda *_: self.right[k * PITCH + own_column + j],
        }
        where = dict.fromkeys([*self.spatial, *self.taps], integer(0))
        return BufferStore(self.sums, replaced(self.block.body.value, where, reads), [i, j])

    def _copy(self, tile: Buffer, load: Any, first: Expr, *, is_left: bool) -> Statement:
        """A tile of an operand, neighbouring threads along what lies in a row in memory; zeros outside of it."""
        along = self.spatial[-3] if is_left else self.spatial[-1]
        steps = TILE * DEPTH // THREADS

        def one(step: Expr) -> Statement:
            number = step * THREADS + self.thread
            in_row = follows(load, along)
            place, k = (number % TILE, number // TILE) if in_row else (number // DEPTH, number % DEPTH)
            position, term = (self.row if is_left else self.column) + place, first + k
            spatial = [*self.outer, position if is_left else 0, integer(0), integer(0) if is_left else position]
            where = dict(zip(self.spatial, spatial, strict=True))
            where |= dict(zip(self.taps, unravel(term, self.summed), strict=True))
            inside = tirx.all(position < (self.rows if is_left else self.columns), term < self.depth)
            value = load.source[tuple(replaced(index, where) for index in load.indices)]
            zero = BufferStore(tile, tirx.const(0, str(load.source.dtype)), [k * PITCH + place])
            return IfThenElse(inside, BufferStore(tile, value, [k * PITCH + place]), zero)

        return counted("step", steps, one)

    def _store(self, i: int, row: Expr, column: Expr) -> Statement:
        """A thread's elements of a row, in a vector where they are one in memory."""
        axes = [axis.var for axis in self.out.iter_vars]
        in_row = self.operands.place[axes[-1]] == len(self.spatial) - 1
        lanes = OWN if in_row and self.columns % OWN == 0 else 1
        out = Written(self.out.body, axes)

        def some(j: int) -> Statement:
            position = [*self.outer, self.row + row, integer(0), self.column + column + j]
            where = {axis: position[self.operands.place[axis]] for axis in axes}
            made = {self.block.body.buffer: lambda lane: self.total[i, j + lane]}
            body = out.emit(self.registers, where, lanes, made)
            inside = tirx.all(self.row + row < self.rows, self.column + column + j < self.columns)
            return IfThenElse(inside, body, None)

        return sequence([some(j) for j in range(0, OWN, lanes)])
