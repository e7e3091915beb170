"""Convolutions and dense layers by the device code, in the emulator, against float64 references."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import prod

import numpy as np
import pytest

from convc import lower, ops
from convc.ir import Graph, Node, Shape
from convc.ops.window import Padding
from convc.passes import optimize
from convc.precision import Precision
from convc.schedules.cuda import prepared
from convc.schedules.cuda.gemm_tiles import (
    BFLOAT16,
    FLOAT16,
    FLOAT32,
    SHARED_LIMIT,
    TFLOAT32,
    Cut,
    Size,
    choose,
    seconds,
    tiles,
)
from convc.schedules.cuda.implicit_gemm import ImplicitGemmRule
from convc.schedules.rule import KernelView
from convc.target import CudaTarget, named
from tests.cuda.emulator import Copies, KernelError, Order
from tests.cuda.gemm_support import Builder, Compiled, Subject, check, target_for
from tests.tolerances import RELATIVE, relative_error

pytestmark = pytest.mark.usefixtures("emulated")

PRECISIONS = list(Precision)
NARROW = [Precision.FLOAT16, Precision.BFLOAT16]


def layer(
    precision: Precision,
    shape: Shape,
    window: Shape,
    filters: int,
    *,
    strides: Shape = (1, 1),
    padding: Padding = ((0, 0), (0, 0)),
    dilation: Shape = (1, 1),
    finish: Callable[[Builder, Node], Node] | None = None,
    wide: tuple[str, ...] = (),
) -> Subject:
    """A convolution with a bias of an input of `shape`, or a dense layer where there is no window, and what `finish`
    makes of it."""
    b = Builder(precision, prod(shape) + filters)
    x = b.input(*shape)
    scale = float(np.sqrt(1 / (prod(window) * shape[-1])))
    op = ops.Conv(strides, padding, dilation) if window else ops.Dense()
    y = b.apply(op, x, b.weights(*window, shape[-1], filters, scale=scale), b.weights(filters))
    y = finish(b, y) if finish else y
    return Subject(Graph("net", tuple(b.inputs), (y,), ("y",)), b.feeds, precision, wide)


def residual(b: Builder, y: Node) -> Node:
    return b.apply(ops.Relu(), b.apply(ops.Add(), y, b.input(*y.type.shape)))


def scaled(b: Builder, y: Node) -> Node:
    """Times a factor for each sample and channel, and one for each position."""
    shape = y.type.shape
    factors = b.input(shape[0], 1, 1, shape[-1])
    return b.apply(ops.Multiply(), b.apply(ops.Multiply(), y, factors), b.input(*shape[:-1], 1))


def swish(b: Builder, y: Node) -> Node:
    """Reads its side tensor twice."""
    z = b.input(*y.type.shape)
    return b.apply(ops.Multiply(), b.apply(ops.Sigmoid(), b.apply(ops.Add(), y, z)), z)


ONE = ((1, 1), (1, 1))
SUBJECTS: dict[str, Callable[[Precision], Subject]] = {
    "3x3": lambda p: layer(p, (1, 14, 14, 32), (3, 3), 72, padding=ONE, finish=residual),
    "1x1": lambda p: layer(p, (2, 7, 9, 40), (1, 1), 24, finish=residual),
    "7x7 of an image": lambda p: layer(p, (1, 23, 21, 3), (7, 7), 16, strides=(2, 2), padding=((3, 3), (3, 2))),
    "1x1 with strides": lambda p: layer(p, (2, 9, 9, 16), (1, 1), 16, strides=(2, 2)),
    "asymmetric": lambda p: layer(
        p, (2, 9, 7, 16), (3, 2), 16, strides=(2, 1), padding=((0, 2), (1, 0)), finish=residual
    ),
    "dilated": lambda p: layer(p, (1, 13, 11, 8), (3, 3), 8, dilation=(2, 3), padding=((2, 2), (3, 3))),
    "one pixel": lambda p: layer(p, (1, 1, 1, 8), (3, 3), 8, padding=ONE),
    "one channel": lambda p: layer(p, (1, 8, 9, 1), (3, 3), 12),
    "odd channels": lambda p: layer(p, (1, 5, 6, 13), (3, 3), 10, padding=ONE, finish=residual),
    "two channels": lambda p: layer(p, (1, 6, 6, 2), (2, 2), 4),
    "twelve channels": lambda p: layer(p, (1, 6, 7, 12), (3, 3), 6, padding=ONE),
    "odd filters": lambda p: layer(p, (1, 6, 7, 8), (3, 3), 9, padding=ONE, finish=residual),
    "more padding than image": lambda p: layer(p, (1, 2, 2, 8), (5, 5), 8, padding=((4, 4), (4, 4))),
    "a line": lambda p: layer(p, (2, 17, 8), (3,), 16, strides=(2,), padding=((1, 0),), dilation=(2,)),
    "dense": lambda p: layer(p, (5, 70), (), 10),
    "dense of sequences": lambda p: layer(p, (2, 3, 24), (), 16, finish=residual),
    "one row": lambda p: layer(p, (1, 200), (), 33),
    "broadcast factors": lambda p: layer(p, (2, 5, 4, 8), (1, 1), 16, finish=scaled),
    "swish": lambda p: layer(p, (1, 5, 4, 8), (3, 3), 16, padding=ONE, finish=swish),
    "long sum": lambda p: layer(p, (1, 3, 3, 512), (3, 3), 16, padding=ONE),
}


@cache
def ragged(precision: Precision) -> Subject:
    """Rows, columns and summands that no tile divides, in three samples."""
    return layer(precision, (3, 9, 7, 24), (3, 3), 136, padding=ONE, finish=residual, wide=("out",))


@pytest.mark.parametrize("precision", PRECISIONS, ids=lambda p: p.value)
@pytest.mark.parametrize("name", SUBJECTS)
def test_layers(name: str, precision: Precision) -> None:
    subject = SUBJECTS[name](precision)
    compiled = Compiled(subject)
    check(subject, compiled, compiled.run())


@pytest.mark.parametrize("precision", NARROW, ids=lambda p: p.value)
@pytest.mark.parametrize("wide", [("input0",), ("input0", "out"), ("out",)], ids=" ".join)
@pytest.mark.parametrize("channels", [3, 8, 20])
def test_ports(precision: Precision, wide: tuple[str, ...], channels: int) -> None:
    """What is stored in float32 beside weights in 16 bits: the input is rounded first, sums are written as they are."""
    subject = layer(precision, (1, 9, 8, channels), (3, 3), 24, padding=ONE, wide=wide)
    compiled = Compiled(subject)
    assert compiled.knobs.copied == ("input0" in wide or channels == 3)
    check(subject, compiled, compiled.run())


def test_wide_weights() -> None:
    """Weights in float32 are multiplied in float32, by an input in 16 bits too."""
    subject = layer(Precision.FLOAT16, (1, 9, 8, 6), (3, 3), 24, padding=ONE, wide=("weights_1", "out"))
    compiled = Compiled(subject)
    assert compiled.knobs.element.name == "Float32"
    assert relative_error(compiled.run(), subject.want) < RELATIVE["kernel"]


CUTS = [
    (precision, Cut(tile, splits))
    for precision in PRECISIONS
    for tile in Compiled(ragged(precision)).tiles
    for splits in (1, 3)
]


@pytest.mark.parametrize(("precision", "cut"), CUTS, ids=lambda value: getattr(value, "value", str(value)))
def test_cuts(precision: Precision, cut: Cut) -> None:
    """Every tile, with whole sums and in parts; whatever thread comes first, and whenever copies are done."""
    subject = ragged(precision)
    compiled = Compiled(subject, cut)
    got = compiled.run()
    check(subject, compiled, got)
    for order, copies in ((Order.BACKWARD, Copies.EARLY), (Order.SHUFFLED, Copies.MIXED)):
        np.testing.assert_array_equal(compiled.run(order, copies), got)


@pytest.mark.parametrize(
    ("precision", "old", "new"),
    [
        (Precision.FLOAT16, "cp_async_wait<T::STAGES - 2>()", "cp_async_wait<T::STAGES - 1>()"),
        (Precision.FLOAT32, "    __syncthreads();\n    sums.add(", "    sums.add("),
        (Precision.FLOAT16, "    __syncthreads();\n    sums.add(", "    sums.add("),
        (Precision.FLOAT16, "  __syncthreads();\n  float *tile", "  float *tile"),
        (Precision.FLOAT16, "  __syncthreads();\n  constexpr int ACROSS", "  constexpr int ACROSS"),
        (Precision.FLOAT16, "T::PITCH + column + j * 8 + lane % 4 * 2;", "T::PITCH + column + j * 8 + lane % 4;"),
        (Precision.FLOAT16, "inside && exists);", "true);"),
        (Precision.FLOAT16, "UNITS + (unit ^ turn)", "UNITS + (unit ^ (turn + (threadIdx.x & 1)))"),
    ],
    ids=["wait", "barrier", "barrier of warps", "barrier before tile", "barrier after tile", "place", "zeros", "turn"],
)
def test_mistakes_are_found(precision: Precision, old: str, new: str) -> None:
    """The tests above fail where the device code has a mistake."""
    subject = ragged(precision)
    compiled = Compiled(subject, Cut(Compiled(subject).tiles[1], 1))
    assert old in compiled.source
    compiled.source = compiled.source.replace(old, new)
    results = []
    for order, copies in ((Order.FORWARD, Copies.LATE), (Order.BACKWARD, Copies.EARLY)):
        try:
            results.append(relative_error(compiled.run(order, copies), subject.want))
        except KernelError:
            results.append(float("inf"))
    assert max(results) > 1e-3


def test_float32_sums_stay_exact() -> None:
    """However long: the sum of 4608 products has the error of a short one, by chunks and by parts."""
    subject = layer(Precision.FLOAT32, (1, 3, 3, 512), (3, 3), 32, padding=ONE)
    for tile in Compiled(subject).tiles:
        assert relative_error(Compiled(subject, Cut(tile, 1)).run(), subject.want) < 5e-7


def kernel_of(b: Builder, y: Node) -> KernelView:
    graph = Graph("net", tuple(b.inputs), (y,), ("y",))
    (group,) = optimize(graph).grouped.groups
    return KernelView(prepared(lower.lower(group, lower.Layout(1, threads=True), bounded=True).func))


@pytest.mark.parametrize(
    ("shape", "kernel", "groups"),
    [((1, 5, 5, 8), (3, 3, 4, 8), 2), ((1, 5, 5, 8), (3, 3, 1, 8), 8), ((1, 4, 4, 4, 8), (3, 3, 3, 8, 8), 1)],
    ids=["grouped", "depthwise", "3D"],
)
def test_not_others(shape: Shape, kernel: Shape, groups: int) -> None:
    b = Builder(Precision.FLOAT32, 0)
    rank = len(shape) - 2
    op = ops.Conv((1,) * rank, ((1, 1),) * rank, (1,) * rank, groups)
    view = kernel_of(b, b.apply(op, b.input(*shape), b.weights(*kernel)))
    assert not ImplicitGemmRule().applies(view, target_for(Precision.FLOAT32))


def test_not_before_ampere() -> None:
    b = Builder(Precision.FLOAT32, 0)
    view = kernel_of(b, b.apply(ops.Dense(), b.input(4, 8), b.weights(8, 8)))
    old, new = named("cuda:sm_75,sm_80"), named("cuda:sm_80")
    assert isinstance(old, CudaTarget)
    assert isinstance(new, CudaTarget)
    assert not ImplicitGemmRule().applies(view, old)
    assert ImplicitGemmRule().applies(view, new)


@pytest.mark.parametrize(("rows", "filters", "depth"), [(49, 512, 4608), (49, 512, 2048), (1, 1000, 2048)])
def test_few_rows_fill_the_gpu(rows: int, filters: int, depth: int) -> None:
    """The last layers of a ResNet50 at batch 1 are made in parts, by about as many blocks as there are processors."""
    size = Size(rows, filters, depth, 8, 8)
    cut = choose(size, FLOAT16, 90)
    blocks = -(-rows // cut.tile.rows) * -(-filters // cut.tile.columns) * cut.splits
    assert cut.splits > 1
    assert 50 <= blocks <= 264
    assert seconds(cut, size, FLOAT16, 90) < seconds(Cut(cut.tile, 1), size, FLOAT16, 90)


def test_tiles_fit_into_every_gpu() -> None:
    """Code of 8.0 runs on 8.6 and 8.9 too, which have less shared memory."""
    for element in (FLOAT16, BFLOAT16, TFLOAT32, FLOAT32):
        for tile in tiles(element, Size(128, 128, 128, 16 // element.size, 16 // element.size)):
            assert tile.shared(element.size) <= SHARED_LIMIT
