from __future__ import annotations

import pytest

from convc.ir import DType, Shape
from convc.ops import Concat
from tests.ops.inference import assert_refused, shape


def test_shape() -> None:
    assert shape(Concat(3), (1, 2, 2, 3), (1, 2, 2, 5), (1, 2, 2, 1)) == (1, 2, 2, 9)
    assert shape(Concat(0), (1, 2), (3, 2)) == (4, 2)


@pytest.mark.parametrize(
    ("axis", "shapes", "parts"),
    [
        (2, ((1, 2), (1, 2)), ("axis is outside the input", "0 to 1", "got 2")),
        (-1, ((1, 2), (1, 2)), ("axis is outside the input", "got -1")),
        (1, ((1, 2), (2, 2)), ("do not fit together", "float32[1, 2] but for axis 1", "float32[2, 2]")),
        (1, ((1, 2), (1, 2), (1, 2, 3)), ("do not fit together", "float32[1, 2, 3]")),
        (0, (), ("wrong number of inputs", "1 or more", "got 0")),
    ],
)
def test_refusals(axis: int, shapes: tuple[Shape, ...], parts: tuple[str, ...]) -> None:
    assert_refused(Concat(axis), *shapes, parts=parts)


def test_refuses_two_dtypes() -> None:
    dtypes = (DType.FLOAT32, DType.INT32)
    assert_refused(Concat(0), (1,), (1,), dtypes=dtypes, parts=("do not fit together", "int32[1]"))
