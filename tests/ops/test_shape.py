from __future__ import annotations

import pytest

from convc.ir import Shape
from convc.ops import Reshape, Transpose
from tests.ops.inference import assert_refused, shape


def test_reshape() -> None:
    assert shape(Reshape((2, 12)), (2, 3, 4)) == (2, 12)
    assert shape(Reshape(()), (1, 1)) == ()


def test_reshape_refuses_another_number_of_elements() -> None:
    parts = ("number of elements", "24 as in (2, 3, 4)", "22 in (2, 11)")
    assert_refused(Reshape((2, 11)), (2, 3, 4), parts=parts)


def test_reshape_refuses_an_unknown_size() -> None:
    assert_refused(Reshape((2, -1)), (2, 3), parts=("number of elements", "(2, -1)"))


def test_reshape_refuses_two_negative_sizes_whose_product_fits() -> None:
    assert_refused(Reshape((-2, -3)), (2, 3), parts=("positive", "(-2, -3)"))


def test_transpose() -> None:
    assert shape(Transpose((0, 3, 1, 2)), (1, 4, 5, 3)) == (1, 3, 4, 5)


@pytest.mark.parametrize("permutation", [(0, 1), (0, 1, 1), (1, 2, 3), (0, 1, -1), (0, 1, 2, 3)], ids=str)
def test_transpose_refuses(permutation: Shape) -> None:
    parts = ("not a permutation", "0 to 2 once each", f"got {permutation}")
    assert_refused(Transpose(permutation), (2, 3, 4), parts=parts)
