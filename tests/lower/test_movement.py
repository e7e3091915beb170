"""What moves elements, where it could go wrong: indices outside, axes that become one, integers."""

from __future__ import annotations

import numpy as np
import pytest

from convc.ir import MODEL_TYPES, DType, Graph, Node, Op, Origin, Shape, TensorType, make
from convc.ir.group import Group
from convc.lower.frame import frame_of
from convc.ops import Add, Broadcast, Cast, Concat, Input, Multiply, Pad, Relu, Slice, Take, TakeAlong, Transpose
from convc.target import native
from tests.support.kernels import Kernels, Subject, check, scheduled, unscheduled


def source(name: str, *shape: int, dtype: DType = DType.FLOAT32) -> Node:
    return make(Input(TensorType(shape, dtype)), origin=Origin(name, "Input"))


def op(kind: Op, *inputs: Node) -> Node:
    return make(kind, *inputs, origin=Origin(kind.kind.lower(), kind.kind))


def graph(output: Node, *inputs: Node) -> Graph:
    return Graph("it", inputs, (output,), ("y",))


INDICES = np.array([0, 4, -1, -5, 5, -6, 99, -99, (1 << 31) - 1, -(1 << 31)], np.int32)
OUTSIDE = np.array([False] * 4 + [True] * 6)


@pytest.mark.parametrize("schedule", [unscheduled, scheduled])
@pytest.mark.parametrize("dtype", MODEL_TYPES)
def test_indices_outside_are_not_read(dtype: DType, schedule: object) -> None:
    x, i = source("x", 5, 6, dtype=dtype), source("i", 10, dtype=DType.INT32)
    column = source("j", 10, 6, dtype=DType.INT32)
    values = np.arange(1, 31).reshape(5, 6).astype(dtype.numpy)
    expected = np.where(OUTSIDE[:, None], 0, values[np.where(OUTSIDE, 0, INDICES)])
    for node, feed in ((Take(0), (i, INDICES)), (TakeAlong(0), (column, np.repeat(INDICES[:, None], 6, 1)))):
        made = graph(op(node, x, feed[0]), x, feed[0])
        kernels = Kernels([made], native(), schedule)  # type: ignore[arg-type]
        got = kernels.run(Subject("it", made, {"x": values, feed[0].name: feed[1]}))["y"]
        missing = np.isnan(got) if dtype is DType.FLOAT32 else got == -(1 << 31)
        np.testing.assert_array_equal(missing, np.repeat(OUTSIDE[:, None], 6, 1))
        np.testing.assert_array_equal(np.where(missing, 0, got), expected)


def runs(anchor: Node, *epilogue: Node) -> list[tuple[int, ...]]:
    return [tuple(run) for run in frame_of(Group((anchor, *epilogue), anchor)).runs]


@pytest.mark.parametrize(
    ("kind", "shape", "expected"),
    [
        (Slice((0, 1, 0, 0), (2, 3, 5, 6), (1, 1, 1, 1)), (2, 7, 5, 6), [(0,), (1, 2, 3)]),
        (Slice((0, 0, 1, 0), (2, 7, 3, 6), (1, 1, 1, 1)), (2, 7, 5, 6), [(0, 1), (2, 3)]),
        (Slice((0, 0, 0, 1), (2, 7, 5, 4), (1, 1, 1, 1)), (2, 7, 5, 6), [(0, 1, 2), (3,)]),
        (Slice((0, 1, 0, 0), (2, 3, 5, 6), (1, 2, 1, 1)), (2, 7, 5, 6), [(0,), (1,), (2, 3)]),
        (Slice((0, 6, 0, 0), (2, 7, 5, 6), (1, -1, 1, 1)), (2, 7, 5, 6), [(0,), (1,), (2, 3)]),
        (Pad(((0, 0), (1, 1), (0, 0), (0, 0))), (2, 7, 5, 6), [(0,), (1, 2, 3)]),
        (Pad(((0, 0), (0, 0), (0, 0), (1, 0))), (2, 7, 5, 6), [(0, 1, 2), (3,)]),
        (Broadcast((2, 7, 5, 6)), (2, 7, 1, 6), [(0, 1), (2,), (3,)]),
        (Broadcast((2, 7, 5, 6)), (2, 7, 1, 1), [(0, 1), (2, 3)]),
        (Concat(1), (2, 7, 5, 6), [(0,), (1, 2, 3)]),
        (Concat(3), (2, 7, 5, 6), [(0, 1, 2), (3,)]),
        (Transpose((0, 3, 1, 2)), (2, 7, 5, 6), [(0,), (1,), (2,), (3,)]),
    ],
    ids=str,
)
def test_axes_that_are_moved_as_one(kind: Op, shape: Shape, expected: list[tuple[int, ...]]) -> None:
    assert runs(op(kind, source("x", *shape))) == expected


def test_what_is_computed_behind_keeps_its_axes_apart() -> None:
    cut = op(Slice((0, 1, 0, 0), (2, 3, 5, 6), (1, 1, 1, 1)), source("x", 2, 7, 5, 6))
    assert runs(cut, op(Relu(), cut)) == [(0,), (1, 2, 3)]
    assert runs(cut, op(Add(), cut, source("b", 6))) == [(0,), (1, 2), (3,)]
    assert runs(cut, op(Add(), cut, source("b", 5, 1))) == [(0,), (1,), (2,), (3,)]


def test_moves_with_an_epilogue() -> None:
    x, b = source("x", 2, 7, 5, 6), source("b", 6)
    rng = np.random.default_rng(0)
    feeds = {name: rng.standard_normal(shape, np.float32) for name, shape in (("x", (2, 7, 5, 6)), ("b", (6,)))}
    subjects = []
    for kind in (
        Slice((0, 1, 0, 0), (2, 3, 5, 6), (1, 2, 1, 1)),
        Slice((1, 6, 4, 5), (2, 3, 5, 6), (-1, -2, -1, -1)),
        Pad(((0, 0), (1, 0), (0, 0), (0, 0)), 2.0),
        Broadcast((2, 2, 7, 5, 6)),
    ):
        subjects.append(Subject(str(kind), graph(op(Multiply(), op(Relu(), op(kind, x)), b), x, b), feeds))
    check(Kernels([subject.graph for subject in subjects], native(), scheduled).run, subjects)


def test_integers_are_moved() -> None:
    x = source("x", 2, 3, 18, dtype=DType.INT32)
    values = np.random.default_rng(0).integers(-(1 << 31), 1 << 31, (2, 3, 18)).astype(np.int32)
    subjects = [
        Subject(str(kind), graph(op(kind, *(x,) * count), x), {"x": values})
        for kind, count in (
            (Slice((0, 1, 17), (2, 2, 17), (1, 1, -1)), 1), (Pad(((0, 0), (1, 0), (0, 2)), -3.0), 1), (Concat(1), 2),
            (Broadcast((2, 2, 3, 18)), 1), (Transpose((2, 0, 1)), 1), (Cast(DType.FLOAT32), 1),
        )
    ]  # fmt: skip
    kernels = Kernels([subject.graph for subject in subjects], native(), scheduled)
    for subject in subjects:
        got = kernels.run(subject)["y"]
        assert got.dtype == subject.graph.outputs[0].type.dtype.numpy
        np.testing.assert_array_equal(got, subject.want["y"].astype(got.dtype))
