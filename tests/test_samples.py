"""Random inputs: seeded, and indices only where tables have rows."""

from __future__ import annotations

import numpy as np

from convc.artifact import TensorSpec
from convc.ir import DType, Graph, Node, Op, Origin, TensorType, make
from convc.ops import Add, Cast, Input, Multiply, Reshape, Slice, Take, constant
from convc.samples import INTEGERS, index_limits, random_array, random_feeds


def op(kind: Op, *inputs: Node) -> Node:
    return make(kind, *inputs, origin=Origin(kind.kind, kind.kind))


def source(name: str, *shape: int, dtype: DType = DType.INT32) -> Node:
    return make(Input(TensorType(shape, dtype)), origin=Origin(name, "Input"))


def table(rows: int) -> Node:
    return constant(np.zeros((rows, 2)), Origin("table", "Constant"))


def test_values() -> None:
    spec = TensorSpec("x", (1000,), "float32")
    assert abs(random_array(spec, 0).mean()) < 0.2
    assert set(random_array(TensorSpec("x", (1000,), "int32"), 0)) == set(range(INTEGERS))
    limited = random_array(spec, 0, 7)
    assert limited.dtype == np.float32
    assert set(limited) == set(range(7))
    feeds = random_feeds([spec, TensorSpec("i", (1000,), "int32")], 0, {"i": 30})
    assert set(feeds["i"]) == set(range(30))
    assert feeds["x"].min() < 0


def test_limits_are_those_of_the_smallest_table() -> None:
    x, y, z = source("x", 3), source("y", 3), source("z", 3)
    outputs = (op(Take(0), table(50), x), op(Take(0), table(9), x), op(Take(1), table(5), y), z)
    assert index_limits(Graph("g", (x, y, z), outputs, ("a", "b", "c", "d"))) == {"x": 9, "y": 2}


def test_limits_are_found_behind_moves_and_conversions() -> None:
    x, f, g = source("x", 2, 3), source("f", 4, dtype=DType.FLOAT32), source("g", 4, dtype=DType.FLOAT32)
    moved = op(Reshape((6,)), x)
    cut = op(Slice((1,), (4,), (1,)), moved)
    shifted = op(Add(), cut, constant(np.array([1]), Origin("one", "Constant")))
    outputs = (
        op(Take(0), table(8), shifted), op(Take(0), table(6), op(Cast(DType.INT32), f)),
        op(Take(0), table(3), op(Cast(DType.INT32), op(Multiply(), g, g))),
    )  # fmt: skip
    assert index_limits(Graph("g", (x, f, g), outputs, ("a", "b", "c"))) == {"x": 8, "f": 6}
