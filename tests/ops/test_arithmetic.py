from __future__ import annotations

import pytest

from convc.ir import DType, Shape
from convc.ops import Add, Binary, Multiply
from tests.ops.inference import assert_refused, node, shape

BOTH = pytest.mark.parametrize("op", [Add(), Multiply()], ids=["add", "multiply"])


@BOTH
@pytest.mark.parametrize(
    ("a", "b", "out"),
    [
        ((2, 3), (2, 3), (2, 3)),
        ((2, 3), (3,), (2, 3)),
        ((), (2, 3), (2, 3)),
        ((2, 1, 4), (5, 1), (2, 5, 4)),
    ],
)
def test_shape(op: Binary, a: Shape, b: Shape, out: Shape) -> None:
    assert shape(op, a, b) == out


@BOTH
def test_keeps_the_dtype(op: Binary) -> None:
    assert node(op, (2,), (2,), dtypes=(DType.INT32, DType.INT32)).type.dtype is DType.INT32


@BOTH
def test_refuses_shapes_that_do_not_broadcast(op: Binary) -> None:
    assert_refused(op, (2, 3), (2, 4), parts=("do not broadcast", "equal sizes, or 1", "(2, 3) and (2, 4)"))


@BOTH
def test_refuses_two_dtypes(op: Binary) -> None:
    dtypes = (DType.INT32, DType.FLOAT32)
    assert_refused(op, (2,), (2,), dtypes=dtypes, parts=("differ in dtype", "expected int32", "got float32"))


@BOTH
def test_refuses_one_input(op: Binary) -> None:
    assert_refused(op, (2,), parts=("wrong number of inputs", "expected 2", "got 1"))
