from __future__ import annotations

import pytest

from convc.ir import DType, Shape
from convc.ops import Binary, Real, arithmetic
from tests.cases.arithmetic import ALL
from tests.ops.inference import assert_refused, node, shape

EACH = pytest.mark.parametrize("op", ALL.values(), ids=ALL)
WHOLE = [op for op in ALL.values() if not isinstance(op, Real)]
REAL = [op for op in ALL.values() if isinstance(op, Real)]


@EACH
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


@pytest.mark.parametrize("op", WHOLE, ids=str)
def test_keeps_the_dtype(op: Binary) -> None:
    assert node(op, (2,), (2,), dtypes=(DType.INT32, DType.INT32)).type.dtype is DType.INT32


@EACH
def test_refuses_shapes_that_do_not_broadcast(op: Binary) -> None:
    assert_refused(op, (2, 3), (2, 4), parts=("do not broadcast", "equal sizes, or 1", "(2, 3) and (2, 4)"))


@EACH
def test_refuses_two_dtypes(op: Binary) -> None:
    dtypes = (DType.INT32, DType.FLOAT32)
    assert_refused(op, (2,), (2,), dtypes=dtypes, parts=("differ in dtype", "expected int32", "got float32"))


@EACH
def test_refuses_one_input(op: Binary) -> None:
    assert_refused(op, (2,), parts=("wrong number of inputs", "expected 2", "got 1"))


@pytest.mark.parametrize("op", REAL, ids=str)
def test_quotients_and_powers_are_of_floating_point(op: Binary) -> None:
    dtypes = (DType.INT32, DType.INT32)
    assert_refused(op, (2,), (2,), dtypes=dtypes, parts=("no floating point", "expected float32", "got int32"))


def test_every_operation_has_cases() -> None:
    classes = {value for value in vars(arithmetic).values() if isinstance(value, type) and issubclass(value, Binary)}
    assert classes - {Binary, Real} == {type(op) for op in ALL.values()}
