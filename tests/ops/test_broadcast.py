from __future__ import annotations

import pytest

from convc.ir import Shape
from convc.ops import Broadcast
from tests.ops.inference import assert_refused, shape


def test_shape() -> None:
    assert shape(Broadcast((2, 3, 4)), (3, 1)) == (2, 3, 4)
    assert shape(Broadcast((2, 3)), ()) == (2, 3)


@pytest.mark.parametrize("given", [(3,), (2, 1), (2, 2, 1), (1, 2, 3, 4), (4, 4)], ids=str)
def test_refuses_what_does_not_repeat(given: Shape) -> None:
    assert_refused(Broadcast((2, 3, 4)), given, parts=("cannot be repeated", "(2, 3, 4)", f"got {given}"))


def test_refuses_no_size() -> None:
    assert_refused(Broadcast((0, 3)), (1, 3), parts=("empty", "(0, 3)"))
