from __future__ import annotations

import pytest

from convc.ops import Slice
from tests.ops.inference import assert_refused, shape


def test_shape() -> None:
    assert shape(Slice((0, 1, 6), (2, 3, 4), (1, 2, -2)), (2, 6, 7)) == (2, 3, 4)


def test_along() -> None:
    assert Slice.along((2, 5, 7), 1, 4, 3, -2) == Slice((0, 4, 0), (2, 3, 7), (1, -2, 1))


def test_refuses_another_rank() -> None:
    parts = ("does not fit the input", "3 of each", "2 starts, 2 sizes, 2 steps")
    assert_refused(Slice((0, 0), (1, 1), (1, 1)), (2, 3, 4), parts=parts)
    assert_refused(Slice((0, 0), (1, 1), (1,)), (2, 3), parts=("2 of each", "2 starts, 2 sizes, 1 steps"))


def test_refuses_steps_of_0() -> None:
    assert_refused(Slice((0, 0), (1, 1), (1, 0)), (2, 3), parts=("steps must not be 0", "(1, 0)"))


@pytest.mark.parametrize("size", [0, -1])
def test_refuses_what_is_empty(size: int) -> None:
    assert_refused(Slice((0, 1), (2, size), (1, 1)), (2, 3), parts=("is empty", "1 or more", f"(2, {size})"))


@pytest.mark.parametrize(
    ("start", "size", "step", "reached"),
    [(0, 8, 1, "0 to 7"), (5, 3, 1, "5 to 7"), (-1, 2, 1, "-1 to 0"), (7, 1, 1, "7 to 7"), (3, 5, -1, "-1 to 3"),
     (0, 3, 4, "0 to 8"), (8, 3, -1, "6 to 8"), (-3, 1, 1, "-3 to -3")],
)  # fmt: skip
def test_refuses_to_read_outside(start: int, size: int, step: int, reached: str) -> None:
    parts = ("axis 1 reaches outside", "elements 0 to 6", f"got {reached}")
    assert_refused(Slice((0, start), (2, size), (1, step)), (2, 7), parts=parts)
