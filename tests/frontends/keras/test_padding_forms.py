"""ZeroPadding in every form of its argument, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from convc import ops
from convc.errors import ConvcError
from convc.frontends.keras import load
from convc.ops.window import Padding
from tests.support.configs import layer, sequential
from tests.support.keras import assert_same, keras
from tests.support.quick import quick_programs  # noqa: F401

L = keras.layers
FORMATS = (None, "channels_last", "channels_first")

FORMS: dict[int, tuple[Any, ...]] = {
    1: (0, 1, 3, (1, 2), [2, 0], (0, 0)),
    2: (0, 2, (1, 2), [2, 1], ((1, 2), (0, 3)), [[1, 0], [2, 1]], (1, (2, 0)), ((0, 1), 2)),
    3: (1, (1, 2, 0), [0, 1, 3], ((1, 2), (0, 1), (3, 0)), [[1, 0], [0, 0], [0, 2]], (1, (0, 2), 2)),
}


@pytest.mark.parametrize("rank", FORMS)
def test_forms(rank: int, tmp_path: Path) -> None:
    x = keras.Input((3, 2, 4, 5)[: rank + 1], name="input")
    kind = getattr(L, f"ZeroPadding{rank}D")
    outputs = [kind(padding, data_format=form)(x) for padding in FORMS[rank] for form in FORMATS]
    assert_same(keras.Model(x, [*outputs, kind()(x)]), tmp_path)


@pytest.mark.parametrize(
    ("rank", "padding", "widths"),
    [
        (1, {"left_pad": 2, "right_pad": 1}, ((2, 1),)),
        (1, {"right_pad": 1}, ((0, 1),)),
        (2, {"top_pad": 1, "bottom_pad": 2, "left_pad": 3, "right_pad": 4}, ((1, 2), (3, 4))),
        (2, {"left_pad": 3, "top_pad": 1}, ((1, 0), (3, 0))),
        (2, [1, 2, 3, 4], ((1, 2), (3, 4))),
    ],
)
def test_the_forms_of_keras_1(rank: int, padding: Any, widths: Padding) -> None:
    config = layer(f"ZeroPadding{rank}D", "a", padding=padding)
    graph = load(sequential(layer("ReLU", "r"), config, shape=(4, 5, 2)[-rank - 1 :]))
    assert graph.outputs[0].op == ops.Pad(((0, 0), *widths, (0, 0)))


@pytest.mark.parametrize(
    ("rank", "padding", "message"),
    [
        (1, -1, "expected an integer from 0 up, or two of them, got -1"),
        (1, [1, 2, 3], "expected an integer from 0 up, or two"),
        (1, [1], "expected an integer from 0 up, or two"),
        (1, [[1, 2]], "expected an integer from 0 up, or two"),
        (1, [1, -2], "expected an integer from 0 up, or two"),
        (1, {"top_pad": 1}, "expected an integer from 0 up, or two of them, got {'top_pad': 1}"),
        (2, 1.5, "expected 2 integers from 0 up, or 2 pairs, got 1.5"),
        (2, None, "expected 2 integers from 0 up"),
        (2, True, "expected 2 integers from 0 up"),
        (2, "11", "expected 2 integers from 0 up"),
        (2, [1], "expected 2 integers from 0 up"),
        (2, [1, 2, 3], "expected 2 integers from 0 up"),
        (2, [[1, 2, 3], 1], "expected 2 integers from 0 up"),
        (2, [[1, [2]], 1], "expected 2 integers from 0 up"),
        (2, [float("nan"), 1], "expected 2 integers from 0 up"),
        (2, {"top_pad": -1}, "expected 2 integers from 0 up"),
        (2, {"top_pad": [1, 2]}, "expected 2 integers from 0 up"),
        (2, {"front_pad": 1}, "expected 2 integers from 0 up"),
        (3, [1, 2], "expected 3 integers from 0 up, or 3 pairs"),
        (3, {"left_pad": 1}, "expected 3 integers from 0 up, or 3 pairs"),
    ],
)  # fmt: skip
def test_what_is_refused(rank: int, padding: Any, message: str) -> None:
    config = layer(f"ZeroPadding{rank}D", "a", padding=padding)
    with pytest.raises(ConvcError) as caught:
        load(sequential(config, shape=(4, 5, 6, 2)[-rank - 1 :]))
    assert str(caught.value).startswith(f"layer 'a' (ZeroPadding{rank}D): 'padding' is wrong: ")
    assert message in str(caught.value)


def test_huge_paddings_and_other_ranks_are_refused() -> None:
    with pytest.raises(ConvcError, match="the output is too large"):
        load(sequential(layer("ZeroPadding2D", "a", padding=1 << 40)))
    with pytest.raises(ConvcError, match="the input has the wrong number of axes: expected 5"):
        load(sequential(layer("ZeroPadding3D", "a")))
    with pytest.raises(ConvcError, match="'data_format' is wrong"):
        load(sequential(layer("ZeroPadding2D", "a", data_format="channels")))
