from __future__ import annotations

import pytest

from convc.ops import BatchNorm
from tests.ops.inference import assert_refused, shape


def test_shape() -> None:
    assert shape(BatchNorm(1e-3), (2, 3, 4, 5), (5,), (5,), (5,), (5,)) == (2, 3, 4, 5)


@pytest.mark.parametrize(("position", "name"), [(0, "gamma"), (1, "beta"), (2, "mean"), (3, "variance")])
def test_refuses_a_vector_of_another_length(position: int, name: str) -> None:
    vectors = [(5,)] * 4
    vectors[position] = (4,)
    parts = (f"{name} does not fit the channels", "expected (5,)", "got (4,)")
    assert_refused(BatchNorm(1e-3), (2, 3, 4, 5), *vectors, parts=parts)


def test_refuses_a_missing_vector() -> None:
    assert_refused(BatchNorm(1e-3), (1, 5), (5,), (5,), (5,), parts=("wrong number of inputs", "expected 5", "got 4"))
