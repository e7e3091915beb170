from __future__ import annotations

import numpy as np
import pytest

from convc.ir import DType
from convc.ops import Integer, Modulo, Quotient, Remainder, ShiftLeft, ShiftRight
from tests.cases.integer import ALL
from tests.ops.inference import assert_refused, node

EACH = pytest.mark.parametrize("op", ALL.values(), ids=ALL)
FLOAT, INTEGER = DType.FLOAT32, DType.INT32


@EACH
def test_integers_broadcast_and_stay(op: Integer) -> None:
    made = node(op, (2, 1, 4), (5, 1), dtypes=(INTEGER, INTEGER))
    assert made.type.shape == (2, 5, 4)
    assert made.type.dtype is INTEGER


@EACH
def test_refused(op: Integer) -> None:
    parts = ("the inputs are no integers", "expected int32", "got float32")
    assert_refused(op, (2,), (2,), parts=parts)
    assert_refused(op, (2,), (2,), dtypes=(INTEGER, FLOAT), parts=("differ in dtype",))
    assert_refused(op, (2,), (3,), dtypes=(INTEGER, INTEGER), parts=("do not broadcast",))


@pytest.mark.parametrize(
    ("op", "a", "b", "expected"),
    [
        (Quotient(), [7, -7, 7, -7, 5, -(1 << 31)], [2, 2, -2, -2, 0, -1], [3, -3, -3, 3, -1, -(1 << 31)]),
        (Remainder(), [7, -7, 7, -7, 5, -(1 << 31)], [2, 2, -2, -2, 0, -1], [1, -1, 1, -1, 5, 0]),
        (Modulo(), [7, -7, 7, -7, 5, -(1 << 31)], [2, 2, -2, -2, 0, -1], [1, 1, -1, -1, 0, 0]),
        (ShiftLeft(), [1, 3, -1, 1, 1], [31, 31, 4, 32, -1], [-(1 << 31), -(1 << 31), -16, 0, 0]),
        (ShiftRight(), [-16, 16, -1, 1, -5], [2, 2, 31, 40, -1], [-4, 4, -1, 0, -1]),
    ],
)
def test_values(op: Integer, a: list[int], b: list[int], expected: list[int]) -> None:
    result = op.reference(np.array(a, np.int32), np.array(b, np.int32))
    assert result.dtype == np.int32
    assert result.tolist() == expected
