from __future__ import annotations

import numpy as np
import pytest

from convc.ir import MODEL_TYPES, DType, Op, Shape
from convc.ops import Take, TakeAlong
from tests.ops.inference import assert_refused, node

TYPES = (DType.FLOAT32, DType.INT32)


@pytest.mark.parametrize(
    ("op", "x", "indices", "expected"),
    [
        (Take(0), (5, 3), (2, 7), (2, 7, 3)),
        (Take(1), (5, 3), (), (5,)),
        (Take(1), (2, 5, 3), (4,), (2, 4, 3)),
        (TakeAlong(1), (2, 5, 3), (2, 9, 3), (2, 9, 3)),
    ],
)
def test_shape(op: Op, x: Shape, indices: Shape, expected: Shape) -> None:
    for dtype in MODEL_TYPES:
        made = node(op, x, indices, dtypes=(dtype, DType.INT32))
        assert made.type.shape == expected
        assert made.type.dtype is dtype


@pytest.mark.parametrize("kind", [Take, TakeAlong])
def test_refuses_an_axis_outside(kind: type[Take | TakeAlong]) -> None:
    for axis in (-1, 2):
        parts = ("axis is outside", "0 to 1", f"got {axis}")
        assert_refused(kind(axis), (2, 3), (2, 3), parts=parts, dtypes=TYPES)


@pytest.mark.parametrize("kind", [Take, TakeAlong])
def test_refuses_indices_that_are_no_integers(kind: type[Take | TakeAlong]) -> None:
    assert_refused(kind(0), (2, 3), (2, 3), parts=("not integers", "int32", "float32"))


@pytest.mark.parametrize("indices", [(2, 3), (2, 4, 2), (3, 4, 3), (2, 4, 3, 1)], ids=str)
def test_along_refuses_indices_of_another_shape(indices: Shape) -> None:
    parts = ("do not fit", "(2, 5, 3) but for axis 1", f"got {indices}")
    assert_refused(TakeAlong(1), (2, 5, 3), indices, parts=parts, dtypes=TYPES)


def test_indices_outside_in_the_reference() -> None:
    x, indices = np.arange(3.0), np.array([2, -3, 3, -4])
    np.testing.assert_array_equal(Take(0).reference(x, indices), [2, 0, np.nan, np.nan])
    least = np.iinfo(np.int32).min
    np.testing.assert_array_equal(Take(0).reference(np.arange(3, dtype=np.int32), indices), [2, 0, least, least])
