"""Copies that change which axis is the last: through a tile in shared memory, so that reads and writes go in rows."""

from __future__ import annotations

from math import prod
from typing import Any, ClassVar

from tvm import tirx
from tvm.tirx import BufferStore, IfThenElse

from convc.schedules.cuda.loops import unravel
from convc.schedules.cuda.registers import Registers, bound, buffers_of
from convc.schedules.cuda.team import barrier
from convc.schedules.cuda.vectors import depends, follows, parts_of
from convc.schedules.replace import loads_of, replaced, uses
from convc.schedules.rule import KernelView, Knobs, Rule
from convc.schedules.statements import counted, sequence
from convc.target import CudaTarget

Expr = Any

TILE = 32
"""Rows and columns of a tile: a warp reads or writes one at a time."""
PITCH = TILE + 1
"""From one row of a tile to the next in shared memory, so that a column is in all its banks. TVM would take rows that
are longer than what is used of them for shorter ones, so that a tile has but one axis."""
ROWS = 8
"""Warps of a block."""
SHORTEST = 8
"""Shorter axes leave threads idle; their reads are close together anyway."""


class TranspositionRule(Rule[CudaTarget]):
    """Only the block `out`, which reads a tensor whose last axis is not the output's.

    Bytes: input and output once, which is the floor, in rows of 128 bytes of 32-bit numbers, 64 of 16-bit ones.
    """

    name: ClassVar[str] = "transposition"

    def applies(self, kernel: KernelView, target: CudaTarget) -> bool:
        return kernel.blocks == ("out",) and not kernel.domain("out")[1] and _crossed(kernel) is not None

    def choose(self, kernel: KernelView, target: CudaTarget) -> Knobs:
        return Knobs()

    def schedule(self, kernel: KernelView, knobs: Knobs, target: CudaTarget) -> Any:
        found = _crossed(kernel)
        assert found is not None
        load, inner = found
        block = kernel.sch.get(kernel.block("out"))
        axes, extents = [axis.var for axis in block.iter_vars], list(kernel.domain("out")[0])
        registers = Registers()
        tile = registers.make([TILE * PITCH], str(load.source.dtype), "shared")
        rest = [axis for axis in range(len(axes) - 1) if axis != inner]
        grid = [*(extents[axis] for axis in rest), -(-extents[inner] // TILE), -(-extents[-1] // TILE)]

        def thread(number: Expr, own: Expr) -> Any:
            *outer, row, column = unravel(number, grid)
            fixed = {axes[axis]: index for axis, index in zip(rest, outer, strict=True)}

            def at(along: Expr, across: Expr) -> tuple[dict[Any, Expr], Expr]:
                place = {axes[inner]: row * TILE + along, axes[-1]: column * TILE + across}
                inside = [
                    place[axis] < extent
                    for axis, extent in ((axes[inner], extents[inner]), (axes[-1], extents[-1]))
                    if extent % TILE
                ]
                return fixed | place, tirx.all(tirx.const(True, "bool"), *inside)

            def read(step: Expr) -> Any:
                along, across = own % TILE, own // TILE + step * ROWS
                where, inside = at(along, across)
                value = load.source[tuple(replaced(index, where) for index in load.indices)]
                return IfThenElse(inside, BufferStore(tile, value, [across * PITCH + along]), None)

            def write(step: Expr) -> Any:
                along, across = own // TILE + step * ROWS, own % TILE
                where, inside = at(along, across)
                value = replaced(block.body.value, where, {load.source: lambda *_: tile[across * PITCH + along]})
                indices = [replaced(index, where) for index in block.body.indices]
                return IfThenElse(inside, BufferStore(block.body.buffer, value, indices), None)

            steps = TILE // ROWS
            return sequence([counted("step", steps, read), barrier(), counted("step", steps, write)])

        threads = TILE * ROWS
        body = bound("blockIdx.x", prod(grid), lambda b: bound("threadIdx.x", threads, lambda t: thread(b, t)))
        return registers.function(kernel, body)


def _crossed(kernel: KernelView) -> tuple[Any, int] | None:
    """A read along another axis than the output's last, alone of its tensor, and the number of that axis; both axes are
    long enough, and nothing is read on a condition."""
    block = kernel.sch.get(kernel.block("out"))
    axes, extents = [axis.var for axis in block.iter_vars], kernel.domain("out")[0]
    if not axes or extents[-1] < SHORTEST or parts_of(block.body.value)[1]:
        return None
    for buffer in buffers_of(block.body.value):
        load, *others = loads_of(block.body.value, buffer)
        if others or not load.indices or uses(load.indices[-1], axes[-1:]):
            continue
        if not depends(load, axes[-1]):
            continue
        for axis, extent in enumerate(extents[:-1]):
            if extent >= SHORTEST and follows(load, axes[axis]) and not depends(load, axes[axis], behind=1):
                return load, axis
    return None
