"""The loops of a product by hand-written device code: the tiles, and the sums of their parts.

The device code leaves a thread's outputs in its array `acc`, in vectors of neighbouring filters; what follows, the
block `out` of the kernel, is written out for each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import gcd
from typing import Any

from tvm import tirx
from tvm.tirx import BufferStore, IfThenElse

from convc.schedules.cuda.gemm_plan import GemmKnobs, Operands, template
from convc.schedules.cuda.gemm_tiles import gpu_of
from convc.schedules.cuda.loops import BYTES, size
from convc.schedules.cuda.registers import Registers, Written, bound, copied, each, unrolled
from convc.schedules.cuda.vectors import parts_of
from convc.schedules.rule import KernelView
from convc.schedules.statements import integer, sequence

Expr = Any
Buffer = Any
Statement = Any
Write = Callable[[Buffer, Expr, Expr, Expr, Expr], Statement]
"""What a thread does with neighbouring sums: those in a buffer from an index on, of a part or a product of the batch,
row and column."""

HEADERS = "cuda.headers"
"""Function attribute: the files of schedules/cuda/device, without ".cuh", that the function calls into."""
SHARED_BYTES = "cuda.shared_bytes"
"""Function attribute: the dynamic shared memory of each of its kernels, in bytes."""
THREADS = 128
"""Threads of a block that adds up the parts of sums."""
AHEAD = 8
"""Parts of a sum that a thread reads before it adds them."""


class Nests:
    """Writes the kernel's function. `architecture`: whose number of processors the loops should fill."""

    def __init__(self, kernel: KernelView, operands: Operands, knobs: GemmKnobs, architecture: int) -> None:
        assert knobs.cut is not None
        assert knobs.size is not None
        self.kernel, self.operands, self.element = kernel, operands, knobs.element
        self.tile, self.splits = knobs.cut.tile, knobs.cut.splits
        self.processors = gpu_of(architecture).processors
        self.size = knobs.size
        out = kernel.sch.get(kernel.block("out"))
        self.out = Written(out.body, [axis.var for axis in out.iter_vars])
        assert not parts_of(out.body.value)[1], "an epilogue computes both sides of a choice"
        self.sums = kernel.sch.get(kernel.block("conv")).writes[0].source
        self.width = gcd(self.size.columns, BYTES // size(out.body.buffer))
        """Outputs that a thread writes at once."""

    def function(self, registers: Registers, before: Sequence[Statement] = ()) -> Any:
        """The PrimFunc: its nests are those that come `before`, the product, and the sums of its parts, where there are
        several. `registers` has the buffers of those before."""
        nests = list(before)
        if self.splits == 1:

            def finished(acc: Buffer, first: Expr, member: Expr, row: Expr, column: Expr) -> Statement:
                return self._outputs(registers, acc, first, self.operands.position(member, row), column, self.width)

            nests.append(self._product(registers, self.width, finished))
        else:
            parts = registers.make([self.splits, self.size.rows, self.size.columns], "float32", "global")
            nests += [self._parts(registers, parts), self._totals(registers, parts)]
        shared = [0] * len(nests)
        shared[len(before)] = self.tile.shared(self.element.size)
        func = registers.function(self.kernel, sequence(nests))
        return func.with_attr(HEADERS, ["gemm"]).with_attr(SHARED_BYTES, shared)

    def _outputs(
        self, registers: Registers, sums: Buffer, first: Expr, position: list[Expr], column: Expr, width: int
    ) -> Statement:
        """Block `out` for `width` columns from `column` on, whose sums are in a buffer from an index on; `position` has
        the indices before the column."""
        where = dict(zip(self.out.axes, [*position, column], strict=True))
        return self.out.emit(registers, where, width, {self.sums: lambda lane: sums[first + lane]})

    def _parts(self, registers: Registers, parts: Buffer) -> Statement:
        """The parts of the sums as they are."""
        width = gcd(self.size.columns, BYTES // size(parts))

        def write(acc: Buffer, first: Expr, part: Expr, row: Expr, column: Expr) -> Statement:
            return copied(parts, lambda at: [part, row, column + at], acc, lambda at: [first + at], width)

        return self._product(registers, width, write)

    def _product(self, registers: Registers, width: int, write: Write) -> Statement:
        """A tile for each block of threads, and `write` for `width` neighbouring sums at a time."""
        tile, across, (rows, columns) = self.tile, self.tile.columns // width, (self.size.rows, self.size.columns)
        passes = tile.rows * across // tile.threads
        acc = registers.make([passes * width], "float32")

        def body(x: Expr, y: Expr, z: Expr, thread: Expr) -> Statement:
            part, member = (z, integer(0)) if self.splits > 1 else (integer(0), z)
            row, column = x * tile.rows, y * tile.columns
            pointers = (tirx.address_of(acc[0]), *self.operands.pointers(member))
            call = tirx.call_extern("int32", self._device_function(width), *pointers, row, column, part)

            def outputs(number: Expr) -> Statement:
                at = row + number * (tile.threads // across) + thread // across
                first = column + thread % across * width
                inside = [at < rows] if rows % tile.rows else []
                inside += [first < columns] if columns % tile.columns else []
                statement = write(acc, number * width, z, at, first)
                return IfThenElse(tirx.all(*inside), statement, None) if inside else statement

            return sequence([tirx.Evaluate(call), unrolled("number", passes, outputs)])

        def plane(z: Expr) -> Statement:
            def row(x: Expr) -> Statement:
                return bound("blockIdx.y", -(-columns // tile.columns), lambda y: threads(x, y))

            def threads(x: Expr, y: Expr) -> Statement:
                return bound("threadIdx.x", tile.threads, lambda thread: body(x, y, z, thread))

            return bound("blockIdx.x", -(-rows // tile.rows), row)

        planes = self.splits * self.size.batch
        return bound("blockIdx.z", planes, plane) if planes > 1 else plane(integer(0))

    def _device_function(self, width: int) -> str:
        """The template of gemm.cuh for this product, by its C++ name."""
        tile = self.tile
        cut = [tile.rows, tile.columns, tile.depth, tile.down, tile.across, tile.stages, self.splits]
        tiles = template("Tile", *cut, width, tile.shared(self.element.size))
        return template("gemm", f"convc::{self.element.name}", self.operands.left, self.operands.right, tiles)

    def _totals(self, registers: Registers, parts: Buffer) -> Statement:
        """The parts added up, always in the same order, and the epilogue."""
        rows, columns, width = self.size.rows, self.size.columns, self.width
        while width > 1 and rows * columns // width < self.processors * THREADS:
            width //= 2
        pieces = columns // width
        total, part = registers.make([width], "float32"), registers.make([AHEAD, width], "float32")

        def body(number: Expr) -> Statement:
            row, column = number // pieces, number % pieces * width
            statements = [BufferStore(total, tirx.const(0.0, "float32"), [integer(lane)]) for lane in range(width)]
            for first in range(0, self.splits, AHEAD):
                several = range(min(AHEAD, self.splits - first))
                for index in several:

                    def here(at: Expr, number: int = first + index) -> list[Expr]:
                        return [number, row, column + at]

                    def there(at: Expr, index: int = index) -> list[Expr]:
                        return [index, at]

                    statements.append(copied(part, there, parts, here, width))
                for index in several:
                    for lane in range(width):
                        added = total[lane] + part[index, lane]
                        statements.append(BufferStore(total, added, [integer(lane)]))
            position = self.operands.position(integer(0), row)
            return sequence([*statements, self._outputs(registers, total, integer(0), position, column, width)])

        return each(rows * pieces, THREADS, body)
