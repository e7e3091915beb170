from __future__ import annotations

import pytest

from convc.ir import Shape
from convc.ops import Reduce, ReduceMax, ReduceMean, ReduceMin, ReduceProd, ReduceSum
from tests.ops.inference import assert_refused, shape

ALL = pytest.mark.parametrize("kind", [ReduceMean, ReduceMax, ReduceMin, ReduceProd, ReduceSum])


@ALL
@pytest.mark.parametrize(
    ("axes", "kept", "out"),
    [
        ((1, 2), False, (2, 5)),
        ((1, 2), True, (2, 1, 1, 5)),
        ((3,), False, (2, 3, 4)),
        ((0, 1, 2, 3), False, ()),
        ((2, 0), True, (1, 3, 1, 5)),
    ],
)
def test_shape(kind: type[Reduce], axes: Shape, kept: bool, out: Shape) -> None:
    assert shape(kind(axes, kept), (2, 3, 4, 5)) == out


@ALL
@pytest.mark.parametrize("axes", [(), (1, 1), (4,), (-1,)], ids=str)
def test_refuses_axes(kind: type[Reduce], axes: Shape) -> None:
    assert_refused(kind(axes), (2, 3, 4, 5), parts=("axes do not fit", "distinct axes from 0 to 3", f"got {axes}"))
