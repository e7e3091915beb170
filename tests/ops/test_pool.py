from __future__ import annotations

import pytest

from convc.ir import Shape
from convc.ops import AvgPool, MaxPool, Pool
from convc.ops.window import Padding
from tests.ops.inference import assert_refused, node, shape

NONE: Padding = ((0, 0), (0, 0))
BOTH = pytest.mark.parametrize("kind", [MaxPool, AvgPool])


@BOTH
@pytest.mark.parametrize(
    ("window", "strides", "padding", "x", "out"),
    [
        ((2, 2), (2, 2), NONE, (1, 7, 8, 3), (1, 3, 4, 3)),
        ((3, 3), (2, 2), ((1, 1), (0, 1)), (2, 8, 8, 5), (2, 4, 4, 5)),
        ((3,), (1,), ((1, 1),), (1, 6, 2), (1, 6, 2)),
        ((1, 2, 3), (1, 1, 1), ((0, 0),) * 3, (1, 3, 3, 3, 2), (1, 3, 2, 1, 2)),
    ],
)
def test_shape(kind: type[Pool], window: Shape, strides: Shape, padding: Padding, x: Shape, out: Shape) -> None:
    assert shape(kind(window, strides, padding), x) == out


@BOTH
@pytest.mark.parametrize(
    ("window", "strides", "padding", "x", "parts"),
    [
        ((2,), (2, 2), NONE, (1, 8, 8, 3), ("window", "2 entries", "(2,)")),
        ((2, 2), (2,), NONE, (1, 8, 8, 3), ("strides", "2 entries", "(2,)")),
        ((2, 2), (2, 2), ((0, 0),), (1, 8, 8, 3), ("padding", "2 entries")),
        ((0, 2), (2, 2), NONE, (1, 8, 8, 3), ("window must be positive", "(0, 2)")),
        ((2, 2), (2, 0), NONE, (1, 8, 8, 3), ("strides must be positive", "(2, 0)")),
        ((2, 2), (2, 2), ((0, -1), (0, 0)), (1, 8, 8, 3), ("padding must not be negative", "-1")),
        ((2, 2), (2, 2), ((0, 2), (0, 0)), (1, 8, 8, 3), ("would lie in the padding", "below the window (2, 2)")),
        ((3, 3), (1, 1), NONE, (1, 2, 8, 3), ("spatial axis 0", "at least 3", "2 + 0 + 0")),
    ],
)  # fmt: skip
def test_refusals(
    kind: type[Pool], window: Shape, strides: Shape, padding: Padding, x: Shape, parts: tuple[str, ...]
) -> None:
    assert_refused(kind(window, strides, padding), x, parts=parts)


def test_flops_count_each_window() -> None:
    made = node(MaxPool((2, 3), (1, 1), NONE), (1, 4, 4, 2))
    assert made.op.flops(made.type, made.inputs[0].type) == 3 * 2 * 2 * 6
