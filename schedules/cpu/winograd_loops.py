"""The loops around the stages of Winograd's convolution: tasks that go through all of them, or stages one by one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tvm import tirx
from tvm.s_tir import SBlock, SBlockRealize
from tvm.tirx import ForKind, IfThenElse

from convc.schedules.cpu.winograd_stages import Ahead, Blocking, Convolution, Stages
from convc.schedules.rule import KernelView
from convc.schedules.statements import counted, sequence

Expr = Any
Buffer = Any
Statement = Any


def write_out(kernel: KernelView, blocking: Blocking, *, is_parallel: bool) -> Any:
    """The kernel's function with its blocks written out as loops."""
    kind = ForKind.PARALLEL if is_parallel else ForKind.SERIAL
    conv = Convolution(kernel)
    body, buffers = _in_tasks(conv, blocking, kind) if blocking.groups else _in_stages(conv, blocking, kind)
    root = kernel.func.body.block
    block = SBlock([], root.reads, root.writes, "root", body, alloc_buffers=buffers)
    return kernel.func.with_body(SBlockRealize([], True, block))


def _in_stages(conv: Convolution, size: Blocking, kind: int) -> tuple[Statement, list[Buffer]]:
    """Three parallel loops: over tiles of the input, planes and strips of filters, tiles of the output.

    Each has local buffers of its own: TVM allocates one that two loops use outside of both, where all threads share it.
    """
    before, between, after = (Stages(conv, size) for _ in range(3))
    groups, strips = -(-conv.tiles // size.tiles), conv.blocks // size.vectors
    planes, made = (
        before.planes("planes", groups, conv.channels // conv.lanes),
        between.planes("made", groups, conv.blocks),
    )

    def inputs(number: Expr) -> Statement:
        return before.input(planes, number // size.tiles, number % size.tiles, number)

    def products(number: Expr) -> Statement:
        strip = number % strips
        return between.products(
            planes, made, number // strips, strip, strip * size.vectors, groups, Ahead(groups, strips=1)
        )

    def outputs(number: Expr) -> Statement:
        group, t = number // size.tiles, number % size.tiles
        return counted("block", conv.blocks, lambda block: after.output(made, group, t, number, block, block))

    loops = [
        counted("tile", conv.tiles, inputs, kind),
        counted("strip", conv.planes * strips, products, kind),
        counted("tile", conv.tiles, outputs, kind),
    ]
    own = [buffer for stages in (before, between, after) for buffer in stages.locals]
    return sequence(loops), [planes.buffer, made.buffer, *own]


def _in_tasks(conv: Convolution, size: Blocking, kind: int) -> tuple[Statement, list[Buffer]]:
    """One parallel loop over tasks of groups of tiles: their input, then a strip of filters at a time."""
    assert size.groups is not None
    stages, count = Stages(conv, size), size.groups
    every = -(-conv.tiles // size.tiles)
    planes = stages.planes("planes", count, conv.channels // conv.lanes)
    made = stages.planes("made", count, size.vectors)

    def task(number: Expr) -> Statement:
        first = number * count
        groups = count if every % count == 0 else tirx.min(count, every - first)

        def tiles(body: Callable[[Expr, Expr, Expr], Statement]) -> Statement:
            def tile(group: Expr, t: Expr) -> Statement:
                position = (first + group) * size.tiles + t
                work = body(group, t, position)
                return IfThenElse(position < conv.tiles, work, None) if conv.tiles % size.tiles else work

            return counted("group", groups, lambda group: counted("t", size.tiles, partial(tile, group)))

        def strip(strip: Expr) -> Statement:
            def outputs(group: Expr, t: Expr, position: Expr) -> Statement:
                def block(v: Expr) -> Statement:
                    return stages.output(made, group, t, position, v, strip * size.vectors + v)

                return counted("block", size.vectors, block)

            def products(plane: Expr) -> Statement:
                return stages.products(planes, made, plane, strip, 0, groups, Ahead(count, columns=1))

            return sequence([counted("plane", conv.planes, products), tiles(outputs)])

        strips = counted("strip", conv.blocks // size.vectors, strip)
        return sequence([tiles(partial(stages.input, planes)), strips])

    return counted("task", -(-every // count), task, kind), [planes.buffer, made.buffer, *stages.locals]
