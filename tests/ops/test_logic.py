from __future__ import annotations

import pytest

from convc.ir import DType
from convc.ops import Comparison, Where
from tests.cases.logic import ALL
from tests.ops.inference import assert_refused, node, shape

EACH = pytest.mark.parametrize("op", ALL.values(), ids=ALL)
FLOAT, INTEGER = DType.FLOAT32, DType.INT32


@EACH
def test_comparisons_broadcast_and_give_floats(op: Comparison) -> None:
    assert shape(op, (2, 1, 4), (5, 1)) == (2, 5, 4)
    assert node(op, (2,), (2,), dtypes=(INTEGER, INTEGER)).type.dtype is FLOAT


@EACH
def test_comparisons_refuse(op: Comparison) -> None:
    assert_refused(op, (2, 3), (2, 4), parts=("do not broadcast",))
    assert_refused(op, (2,), (2,), dtypes=(INTEGER, FLOAT), parts=("differ in dtype", "expected int32", "got float32"))
    assert_refused(op, (2,), parts=("wrong number of inputs", "expected 2", "got 1"))


def test_where_broadcasts_all_three() -> None:
    assert shape(Where(), (4, 1, 1), (3, 1), (5,)) == (4, 3, 5)
    assert node(Where(), (2,), (2,), (1,), dtypes=(FLOAT, INTEGER, INTEGER)).type.dtype is INTEGER


def test_where_refuses() -> None:
    assert_refused(Where(), (2,), (3,), (3,), parts=("do not broadcast",))
    parts = ("differ in dtype", "expected float32", "got int32")
    assert_refused(Where(), (2,), (2,), (2,), dtypes=(FLOAT, FLOAT, INTEGER), parts=parts)
    parts = ("the condition is wrong", "expected float32", "got int32")
    assert_refused(Where(), (2,), (2,), (2,), dtypes=(INTEGER, FLOAT, FLOAT), parts=parts)
    assert_refused(Where(), (2,), (2,), parts=("wrong number of inputs", "expected 3", "got 2"))
