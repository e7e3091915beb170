from __future__ import annotations

from convc.ops import Pad
from tests.ops.inference import assert_refused, shape


def test_shape() -> None:
    assert shape(Pad(((0, 0), (1, 2), (0, 3), (4, 0))), (1, 5, 5, 2)) == (1, 8, 8, 6)


def test_refuses_too_few_widths() -> None:
    assert_refused(Pad(((1, 1),)), (2, 3), parts=("widths do not fit", "2 pairs", "((1, 1),)"))


def test_refuses_negative_widths() -> None:
    assert_refused(Pad(((0, 0), (0, -1))), (2, 3), parts=("must not be negative", "0 or more", "-1"))
