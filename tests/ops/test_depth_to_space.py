from __future__ import annotations

import numpy as np
import pytest

from convc.ir import Shape
from convc.ops import DepthToSpace
from tests.ops.inference import assert_refused, shape

NONE = ((0, 0), (0, 0))


@pytest.mark.parametrize(
    ("op", "x", "out"),
    [
        (DepthToSpace((2, 3), NONE), (2, 5, 4, 18), (2, 10, 12, 3)),
        (DepthToSpace((2, 3), ((1, 2), (0, 4))), (2, 5, 4, 18), (2, 7, 8, 3)),
        (DepthToSpace((4,), ((3, 0),)), (1, 5, 8), (1, 17, 2)),
        (DepthToSpace((1, 1), ((0, 1), (1, 0))), (1, 5, 4, 8), (1, 4, 3, 8)),
    ],
)
def test_shape(op: DepthToSpace, x: Shape, out: Shape) -> None:
    assert shape(op, x) == out


@pytest.mark.parametrize(
    ("op", "x", "parts"),
    [
        (DepthToSpace((2, 2), NONE), (1, 8), ("no spatial axes", "3 axes or more", "float32[1, 8]")),
        (DepthToSpace((2,), NONE), (1, 4, 4, 8), ("block", "2 entries", "(2,)")),
        (DepthToSpace((2, 2), ((0, 0),)), (1, 4, 4, 8), ("crop", "2 entries")),
        (DepthToSpace((2, 0), NONE), (1, 4, 4, 8), ("block must be positive", "(2, 0)")),
        (DepthToSpace((2, 2), ((0, -1), (0, 0))), (1, 4, 4, 8), ("must not be negative", "-1")),
        (DepthToSpace((2, 2), NONE), (1, 4, 4, 6), ("divide the channels", "a multiple of 4", "float32[1, 4, 4, 6]")),
        (DepthToSpace((2, 2), ((4, 4), (0, 0))), (1, 4, 4, 8), ("the output would be empty", "(1, 0, 8, 2)")),
    ],
)
def test_refusals(op: DepthToSpace, x: Shape, parts: tuple[str, ...]) -> None:
    assert_refused(op, x, parts=parts)


def test_the_place_in_the_block_comes_before_the_channel() -> None:
    x = np.arange(8.0).reshape(1, 1, 1, 8)
    y = DepthToSpace((2, 2), NONE).reference(x)
    assert y[0].tolist() == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]
    assert DepthToSpace((2, 2), ((1, 0), (0, 1))).reference(x)[0].tolist() == [[[4, 5]]]
