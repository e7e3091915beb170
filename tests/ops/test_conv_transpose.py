from __future__ import annotations

import numpy as np
import pytest

from convc.ir import DType, Shape
from convc.ops import ConvTranspose
from tests.ops.inference import assert_refused, node, shape

NONE = ((0, 0), (0, 0))
PLAIN = ConvTranspose((2, 2), (1, 1), NONE)


@pytest.mark.parametrize(
    ("op", "x", "kernel", "out"),
    [
        (PLAIN, (2, 5, 4, 3), (3, 2, 16, 3), (2, 11, 8, 16)),
        (ConvTranspose((2, 3), (1, 1), ((1, 0), (0, 2))), (1, 5, 4, 3), (4, 5, 8, 3), (1, 11, 12, 8)),
        (ConvTranspose((3, 1), (1, 1), ((0, -2), (0, -1))), (1, 4, 3, 2), (1, 2, 5, 2), (1, 12, 5, 5)),
        (ConvTranspose((1, 1), (2, 3), NONE), (1, 4, 4, 2), (3, 2, 5, 2), (1, 8, 7, 5)),
        (ConvTranspose((2,), (1,), ((0, 1),)), (3, 5, 4), (3, 7, 4), (3, 10, 7)),
        (ConvTranspose((1, 2, 3), (1, 1, 1), ((0, 0),) * 3), (1, 2, 2, 2, 3), (3, 2, 1, 4, 3), (1, 4, 4, 4, 4)),
    ],
)
def test_shape(op: ConvTranspose, x: Shape, kernel: Shape, out: Shape) -> None:
    assert shape(op, x, kernel) == out
    assert shape(op, x, kernel, kernel[-2:-1]) == out


X, KERNEL = (1, 5, 4, 3), (3, 2, 8, 3)


@pytest.mark.parametrize(
    ("op", "shapes", "parts"),
    [
        (PLAIN, ((2, 8), (3, 8)), ("transposed convolution of this rank", "3 to 5 axes", "float32[2, 8]")),
        (PLAIN, (X, (3, 8, 3)), ("kernel's rank", "4 axes", "float32[3, 8, 3]")),
        (PLAIN, (X, (3, 2, 3, 8)), ("input's channels", "3 input channels", "float32[3, 2, 3, 8]")),
        (PLAIN, (X, KERNEL, (3,)), ("bias", "(8,)", "(3,)")),
        (ConvTranspose((2,), (1, 1), NONE), (X, KERNEL), ("strides", "2 entries", "(2,)")),
        (ConvTranspose((2, 2), (1,), NONE), (X, KERNEL), ("dilation", "2 entries", "(1,)")),
        (ConvTranspose((2, 2), (1, 1), ((0, 0),)), (X, KERNEL), ("crop", "2 entries", "((0, 0),)")),
        (ConvTranspose((2, 0), (1, 1), NONE), (X, KERNEL), ("strides must be positive", "(2, 0)")),
        (ConvTranspose((2, 2), (-1, 1), NONE), (X, KERNEL), ("dilation must be positive", "(-1, 1)")),
        (ConvTranspose((2, 2), (1, 1), ((0, 0), (-1, 0))), (X, KERNEL), ("spatial axis 1", "0 to 1 elements", "-1")),
        (ConvTranspose((2, 2), (2, 1), ((5, 0), (0, 0))), (X, KERNEL), ("spatial axis 0", "0 to 4 elements", "got 5")),
        (
            ConvTranspose((2, 2), (1, 1), ((0, 11), (0, 0))),
            (X, KERNEL),
            ("left of spatial axis 0", "than 11 ", "0 + 11"),
        ),
        (
            ConvTranspose((1, 1), (2**40, 1), NONE),
            (X, KERNEL),
            ("before cropping is too large", "at most 1099511627776"),
        ),
        (PLAIN, (X,), ("wrong number of inputs", "2 to 3", "got 1")),
    ],
)
def test_refusals(op: ConvTranspose, shapes: tuple[Shape, ...], parts: tuple[str, ...]) -> None:
    assert_refused(op, *shapes, parts=parts)


def test_refuses_another_dtype_of_kernel() -> None:
    assert_refused(PLAIN, X, KERNEL, dtypes=(DType.FLOAT32, DType.INT32), parts=("differ in dtype",))


def test_taps_land_where_they_are_said_to() -> None:
    """Element i adds tap t at i * stride + t * dilation; the bias goes to all that is left, zeros at the end too."""
    x = np.array([1.0, 10.0]).reshape(1, 2, 1)
    kernel, bias = np.array([1.0, 2.0, 3.0]).reshape(3, 1, 1), np.array([0.5])

    def computed(stride: int, dilation: int, crop: tuple[int, int]) -> list[float]:
        op = ConvTranspose((stride,), (dilation,), (crop,))
        return [float(value) for value in op.reference(x, kernel, bias).ravel()]

    assert computed(2, 1, (0, 0)) == [1.5, 2.5, 13.5, 20.5, 30.5]
    assert computed(2, 1, (1, 2)) == [2.5, 13.5]
    assert computed(4, 1, (0, -2)) == [1.5, 2.5, 3.5, 0.5, 10.5, 20.5, 30.5, 0.5, 0.5]
    assert computed(1, 2, (0, 0)) == [1.5, 10.5, 2.5, 20.5, 3.5, 30.5]


def test_flops_count_a_multiply_add_as_two() -> None:
    made = node(PLAIN, X, KERNEL, (8,))
    assert made.op.flops(made.type, *(source.type for source in made.inputs)) == 20 * 2 * 6 * 24 + 11 * 8 * 8
