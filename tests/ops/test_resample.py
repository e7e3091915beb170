from __future__ import annotations

import numpy as np
import pytest

from convc.errors import ShapeError
from convc.ir import DType, Shape, TensorType
from convc.ops import Resample, ResampleMax, ResampleSum

INDICES = TensorType((6, 2), DType.INT32)
WEIGHTS = TensorType((6, 2))
IMAGES = TensorType((2, 3, 4, 5))


@pytest.mark.parametrize(
    ("op", "tables", "out"),
    [
        (ResampleSum((1,)), (INDICES, WEIGHTS), (2, 6, 4, 5)),
        (ResampleSum((1, 2)), (INDICES, WEIGHTS, TensorType((7, 9), DType.INT32), TensorType((7, 9))), (2, 6, 7, 5)),
        (ResampleMax((2, 3)), (INDICES, TensorType((1, 3), DType.INT32)), (2, 3, 6, 1)),
        (ResampleMax((0,)), (INDICES,), (6, 3, 4, 5)),
    ],
)
def test_shape(op: Resample, tables: tuple[TensorType, ...], out: Shape) -> None:
    assert op.infer(IMAGES, *tables).shape == out


def test_the_largest_of_integers_is_an_integer() -> None:
    assert ResampleMax((1,)).infer(TensorType((2, 3), DType.INT32), INDICES).dtype is DType.INT32


@pytest.mark.parametrize(
    ("op", "tables", "message"),
    [
        (ResampleSum(()), (INDICES, WEIGHTS), "axes do not fit the input: expected one axis from 0 to 3, or two"),
        (ResampleSum((4,)), (INDICES, WEIGHTS), r"axes do not fit .* got \(4,\)"),
        (ResampleSum((-1,)), (INDICES, WEIGHTS), "axes do not fit"),
        (ResampleSum((1, 3)), (INDICES, WEIGHTS) * 2, "axes do not fit"),
        (ResampleSum((2, 1)), (INDICES, WEIGHTS) * 2, "axes do not fit"),
        (ResampleSum((0, 1, 2)), (INDICES, WEIGHTS) * 3, "axes do not fit"),
        (ResampleSum((1, 2)), (INDICES, WEIGHTS), "wrong number of tables: expected 2 for each axis, got 2"),
        (ResampleMax((1,)), (INDICES, WEIGHTS), "wrong number of tables: expected 1 for each axis, got 2"),
        (ResampleSum((1,)), (WEIGHTS, WEIGHTS), r"indices are wrong: expected int32 of \(out, taps\), got float32"),
        (ResampleMax((1,)), (TensorType((6,), DType.INT32),), r"indices are wrong: .* got int32\[6\]"),
        (ResampleSum((1,)), (INDICES, INDICES), r"weights are wrong: expected float32\[6, 2\], got int32"),
        (ResampleSum((1,)), (INDICES, TensorType((6, 3))), r"weights are wrong: .* got float32\[6, 3\]"),
    ],
)
def test_refusals(op: Resample, tables: tuple[TensorType, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        op.infer(IMAGES, *tables)


def test_flops_count_taps_and_what_lies_between_the_axes() -> None:
    op = ResampleSum((1, 2))
    tables = (INDICES, WEIGHTS, TensorType((7, 3), DType.INT32), TensorType((7, 3)))
    assert op.flops(op.infer(IMAGES, *tables), IMAGES, *tables) == 2 * (2 * 2 * 6 * 4 * 5 + 3 * 2 * 6 * 7 * 5)


def test_axes_are_resampled_one_after_the_other() -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    rows, columns = np.array([[1, 0]], np.int32), np.array([[0, 2], [1, 1]], np.int32)
    weights = np.array([[0.5, 0.5]], np.float32), np.array([[1, -1], [2, 0]], np.float32)
    y = ResampleSum((0, 1)).reference(x, rows, weights[0], columns, weights[1])
    assert y.tolist() == [[1.5 - 3.5, 5.0]]
    assert ResampleMax((0, 1)).reference(x, rows, columns).tolist() == [[5.0, 4.0]]
