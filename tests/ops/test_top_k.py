from __future__ import annotations

import numpy as np
import pytest

from convc.ir import MODEL_TYPES, DType, Shape
from convc.ops import TopK
from tests.ops.inference import assert_refused, node


@pytest.mark.parametrize(("shape", "count"), [((5,), 5), ((2, 3, 7), 2), ((1, 1), 1)])
def test_shape(shape: Shape, count: int) -> None:
    for dtype in MODEL_TYPES:
        made = node(TopK(count), shape, dtypes=(dtype,))
        assert made.type.shape == (*shape[:-1], count)
        assert made.type.dtype is DType.INT32


@pytest.mark.parametrize("count", [0, -1, 4])
def test_refuses_counts_that_the_axis_has_not(count: int) -> None:
    assert_refused(TopK(count), (5, 3), parts=("there are not as many elements", "expected 1 to 3", f"got {count}"))


def test_refuses_scalars() -> None:
    assert_refused(TopK(1), (), parts=("there are not as many elements", "expected an axis"))


@pytest.mark.parametrize(("largest", "expected"), [(True, [1, 3, 0, 2, 4]), (False, [4, 0, 2, 1, 3])])
def test_equal_elements_keep_their_order(largest: bool, expected: list[int]) -> None:
    x = np.array([2.0, 5.0, 2.0, 5.0, -1.0])
    assert TopK(5, largest).reference(x).tolist() == expected
