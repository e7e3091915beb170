"""The stages of Winograd's convolution: transform of the input, products, transform of the outputs.

Tiles of the output are counted over the batch, rows and columns, and lie in groups of the register tile's size. The
transformed input is a plane for each product of a tile: groups, blocks of a vector of channels, tiles, lanes, so that
what the products broadcast is contiguous. What they make is a plane of groups, blocks of filters, tiles, lanes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

from tvm import tirx
from tvm.tirx import BufferStore, IfThenElse

from convc.schedules.cpu.prefetch import fetch
from convc.schedules.cpu.straight_line import Matrix, Program, Terms, program
from convc.schedules.replace import replaced
from convc.schedules.rule import KernelView
from convc.schedules.statements import counted, integer, sequence, vector

Expr = Any
Buffer = Any
Statement = Any


@dataclass(frozen=True)
class Blocking:
    """How the loops are cut.

    The register tile is `tiles` by `vectors` accumulators, over sums of at most `depth` channels. A task has `groups`
    groups of tiles from their input to their output; None: all tasks go through each of the three stages together, and
    weights are read once. `fetches`: the weights of the next products are fetched ahead.
    """

    tiles: int
    vectors: int
    depth: int
    groups: int | None
    fetches: bool


@dataclass(frozen=True)
class Ahead:
    """The weights that are needed next are those of so many strips and columns of planes on; so many groups of tiles
    share their fetching."""

    groups: int
    strips: int = 0
    columns: int = 0


class Convolution:
    """What the blocks of a kernel in Winograd's form say."""

    def __init__(self, kernel: KernelView) -> None:
        view = kernel.sch
        tile, out = view.get(kernel.block("tile")), view.get(kernel.block("out"))
        self.top, self.left = (int(width) for width in tile.annotations["padding"])
        read = {name: _matrix(tile.annotations[name]) for name in tile.annotations if name != "padding"}
        self.input = (program(read["input_rows"]), program(read["input_columns"]))
        self.output = (program(read["output_rows"]), program(read["output_columns"]))
        first = kernel.block("pad" if kernel.has("pad") else "rows_in")
        self.x = view.get(first).reads[0].source
        (self.weights,) = (
            region.source for region in view.get(kernel.block("conv")).reads if len(region.source.shape) == 5
        )
        (self.batch, self.down, self.across, self.blocks, *self.step, self.lanes), _ = kernel.domain("tile")
        self.height, self.width, self.channels = (int(extent) for extent in self.x.shape[1:])
        self.out_axes = [axis.var for axis in out.iter_vars]
        self.out_extents = kernel.domain("out")[0]
        self.out = out.body
        self.result = tile.body.buffer

    @property
    def planes(self) -> int:
        """Products of a tile."""
        return prod(self.products)

    @property
    def products(self) -> tuple[int, int]:
        """Products along each axis."""
        return self.input[0].inputs, self.input[1].inputs

    @property
    def tiles(self) -> int:
        """Tiles of the whole output."""
        return int(self.batch * self.down * self.across)


@dataclass(frozen=True)
class Planes:
    """A transformed tensor: for each product of a tile a plane of groups, blocks of channels, tiles, lanes."""

    buffer: Buffer
    blocks: int
    tiles: int
    lanes: int

    def at(self, plane: Expr, group: Expr, block: Expr, tile: Expr, lane: Expr) -> list[Expr]:
        """Indices of an element."""
        return [plane, ((group * self.blocks + block) * self.tiles + tile) * self.lanes + lane]


class Stages:
    """The statements of each stage, and the buffers that they share."""

    def __init__(self, conv: Convolution, blocking: Blocking) -> None:
        self.conv, self.blocking = conv, blocking
        lanes = conv.lanes
        values = max(made.inputs + len(made.steps) for made in (*conv.input, *conv.output))
        self.values = _local("values", values, lanes)
        self.patch = _local("patch", *conv.products, lanes)
        self.half = _local("half", *conv.products, lanes)
        self.sums = _local("sums", blocking.tiles, blocking.vectors, lanes)
        self.locals = [self.values, self.patch, self.half, self.sums]
        """Buffers that each task has for itself."""

    def planes(self, name: str, groups: int, blocks: int) -> Planes:
        """New planes of as many groups of tiles, with `blocks` vectors of channels or filters each."""
        tiles, lanes = self.blocking.tiles, self.conv.lanes
        shape = (self.conv.planes, plane_stride(groups * blocks * tiles, lanes))
        return Planes(tirx.decl_buffer(shape, "float32", name=name), blocks, tiles, lanes)

    def input(self, planes: Planes, group: Expr, t: Expr, number: Expr) -> Statement:
        """All channels of tile `t` of a group transformed, which is tile `number` of the output; where it reaches over
        the border, of a copy with zeros."""
        conv, lanes = self.conv, self.conv.lanes
        n, y, x = self._position(number)
        y, x = y - conv.top, x - conv.left
        blocks = conv.channels // lanes

        def transformed(block: Expr, read: Callable[[Expr, Expr, Expr], Expr]) -> Statement:
            def write(i: Expr, j: int, terms: Terms) -> Statement:
                return self._vector(
                    lambda lane: BufferStore(
                        planes.buffer,
                        self._sum(terms, lane),
                        planes.at(i * conv.products[1] + j, group, block, t, lane),
                    )
                )

            return self._transform(conv.input, read, write)

        def direct(block: Expr) -> Statement:
            return transformed(block, lambda lane, r, s: conv.x[n, y + r, x + s, block * lanes + lane])

        def copied(block: Expr) -> Statement:
            def element(r: Expr, s: Expr) -> Statement:
                exists = tirx.all(y + r >= 0, y + r < conv.height, x + s >= 0, x + s < conv.width)

                def copy(lane: Expr) -> Statement:
                    return BufferStore(self.patch, conv.x[n, y + r, x + s, block * lanes + lane], [r, s, lane])

                zero = self._vector(lambda lane: BufferStore(self.patch, _zero(), [r, s, lane]))
                return IfThenElse(exists, self._vector(copy), zero)

            copies = counted("r", conv.products[0], lambda r: counted("s", conv.products[1], partial(element, r)))
            return sequence([copies, transformed(block, lambda lane, r, s: self.patch[r, s, lane])])

        inside = tirx.all(y >= 0, y + conv.products[0] <= conv.height, x >= 0, x + conv.products[1] <= conv.width)
        return IfThenElse(inside, counted("block", blocks, direct), counted("block", blocks, copied))

    def products(
        self, planes: Planes, made: Planes, plane: Expr, strip: Expr, first: Expr, groups: Expr, ahead: Ahead
    ) -> Statement:
        """A plane's products for a strip of filters, over all channels; `first` is the block of `made` that it begins
        with, `ahead` where the weights lie that are needed next."""
        conv, size, lanes = self.conv, self.blocking, self.conv.lanes
        row, column = plane // conv.products[1], plane % conv.products[1]
        every = [(t, v) for t in range(size.tiles) for v in range(size.vectors)]
        sections, steps = conv.channels // size.depth, size.depth // lanes

        def ahead_of(group: Expr, channel: Expr) -> list[Statement]:
            each = -(-size.vectors // ahead.groups) if size.fetches else 0
            vectors = [(group * each + k) % size.vectors for k in range(each)]
            blocks = [(strip + ahead.strips) * size.vectors + v for v in vectors]
            return [fetch(conv.weights, [row, column + ahead.columns, block, channel, 0]) for block in blocks]

        def register_tile(section: Expr, group: Expr) -> Statement:
            def step(block: Expr, c: Expr) -> Statement:
                channel = block * lanes + c

                def multiply(t: int, v: int, lane: Expr) -> Statement:
                    x = planes.buffer[tuple(planes.at(plane, group, block, t, c))]
                    weight = conv.weights[row, column, strip * size.vectors + v, channel, lane]
                    return BufferStore(self.sums, self.sums[t, v, lane] + x * weight, [t, v, lane])

                fma = [self._vector(partial(multiply, t, v)) for t, v in every]
                return sequence([*ahead_of(group, channel), *fma])

            def empty(t: int, v: int, lane: Expr) -> Statement:
                return BufferStore(self.sums, _zero(), [t, v, lane])

            def store(t: int, v: int, lane: Expr) -> Statement:
                return BufferStore(made.buffer, self.sums[t, v, lane], made.at(plane, group, first + v, t, lane))

            def add(t: int, v: int, lane: Expr) -> Statement:
                where = made.at(plane, group, first + v, t, lane)
                return BufferStore(made.buffer, made.buffer[tuple(where)] + self.sums[t, v, lane], where)

            stored, added = (sequence([self._vector(partial(do, t, v)) for t, v in every]) for do in (store, add))
            return sequence(
                [
                    *(self._vector(partial(empty, t, v)) for t, v in every),
                    counted("block", steps, lambda b: counted("c", lanes, partial(step, section * steps + b))),
                    stored if sections == 1 else IfThenElse(tirx.EQ(section, integer(0)), stored, added),
                ]
            )

        return counted("section", sections, lambda section: counted("group", groups, partial(register_tile, section)))

    def output(self, made: Planes, group: Expr, t: Expr, number: Expr, place: Expr, block: Expr) -> Statement:
        """The outputs of tile `t` of a group, which is tile `number` of the output, for a block of filters, which is
        block `place` of `made`."""
        conv = self.conv
        n, y, x = self._position(number)
        _, height, width, _ = conv.out_extents

        def read(lane: Expr, i: Expr, j: Expr) -> Expr:
            return made.buffer[tuple(made.at(i * conv.products[1] + j, group, place, t, lane))]

        def write(u: Expr, v: int, terms: Terms) -> Statement:
            def element(lane: Expr) -> Statement:
                here = [n, y + u, x + v, block * conv.lanes + lane]
                where = dict(zip(conv.out_axes, here, strict=True))
                value = replaced(conv.out.value, where, {conv.result: lambda *_: self._sum(terms, lane)})
                return BufferStore(conv.out.buffer, value, [replaced(index, where) for index in conv.out.indices])

            tests = [y + u < height] if height % conv.step[0] else []
            tests += [x + v < width] if width % conv.step[1] and v else []
            body = self._vector(element)
            return IfThenElse(tirx.all(*tests), body, None) if tests else body

        return self._transform(conv.output, read, write)

    def _transform(
        self,
        programs: tuple[Program, Program],
        read: Callable[[Expr, Expr, Expr], Expr],
        write: Callable[[Expr, int, Terms], Statement],
    ) -> Statement:
        """Both axes of a tile: the columns by the first program, then the rows by the second. What lies between them is
        in memory: there are more values than registers, and LLVM would spill most of them."""
        vertical, horizontal = programs

        def column(s: Expr) -> Statement:
            def between(i: int, terms: Terms) -> Statement:
                return self._vector(lambda lane: BufferStore(self.half, self._sum(terms, lane), [i, s, lane]))

            return self._run(vertical, lambda lane, r: read(lane, r, s), between)

        def row(i: Expr) -> Statement:
            return self._run(horizontal, lambda lane, s: self.half[i, s, lane], partial(write, i))

        columns = counted("s", horizontal.inputs, column)
        return sequence([columns, counted("i", len(vertical.outputs), row)])

    def _run(
        self, made: Program, read: Callable[[Expr, int], Expr], write: Callable[[int, Terms], Statement]
    ) -> Statement:
        """A program along one axis, each of its values in a vector of its own."""

        def value(place: int, lane: Expr) -> Expr:
            return read(lane, place) if place < made.inputs else self._sum(made.steps[place - made.inputs], lane)

        def store(place: int) -> Statement:
            return self._vector(lambda lane: BufferStore(self.values, value(place, lane), [place, lane]))

        values = [store(place) for place in range(made.inputs + len(made.steps))]
        return sequence([*values, *(write(i, terms) for i, terms in enumerate(made.outputs))])

    def _sum(self, terms: Terms, lane: Expr) -> Expr:
        total = None
        for at, factor in sorted(terms, key=lambda term: (term[1] != 1, term[1] == -1)):
            value = self.values[at, lane]
            if total is None:
                total = value if factor == 1 else value * _f32(factor)
            elif factor == -1:
                total = total - value
            else:
                total = total + (value if factor == 1 else value * _f32(factor))
        return _zero() if total is None else total

    def _position(self, number: Expr) -> tuple[Expr, Expr, Expr]:
        """Image, row and column of a tile's first output."""
        conv = self.conv
        n = number // (conv.down * conv.across)
        y = number // conv.across % conv.down
        return n, y * conv.step[0], number % conv.across * conv.step[1]

    def _vector(self, body: Callable[[Expr], Statement]) -> Statement:
        return vector(self.conv.lanes, body)


def plane_stride(vectors: int, lanes: int) -> int:
    """Elements from a plane of as many vectors to the next: an odd number of vectors, so that equal places of all
    planes are in different sets of a cache."""
    return (vectors | 1) * lanes


def _matrix(value: Any) -> Matrix:
    return tuple(tuple(float(element) for element in row) for row in value)


def _local(name: str, *shape: int) -> Buffer:
    return tirx.decl_buffer(shape, "float32", name=name, scope="local")


def _f32(value: float) -> Expr:
    return tirx.const(value, "float32")


def _zero() -> Expr:
    return _f32(0.0)
