from __future__ import annotations

import pytest

from convc.ir import DType, Shape, TensorType
from convc.ops import Conv
from convc.ops.window import Padding
from tests.ops.inference import assert_refused, node, shape

NONE: Padding = ((0, 0), (0, 0))
PLAIN = Conv((1, 1), NONE, (1, 1))


@pytest.mark.parametrize(
    ("op", "x", "kernel", "out"),
    [
        (PLAIN, (2, 8, 9, 3), (3, 2, 3, 16), (2, 6, 8, 16)),
        (Conv((2, 2), ((3, 3), (3, 3)), (1, 1)), (1, 224, 224, 3), (7, 7, 3, 64), (1, 112, 112, 64)),
        (Conv((2, 3), ((0, 1), (2, 0)), (1, 1)), (1, 8, 9, 3), (3, 3, 3, 4), (1, 4, 3, 4)),
        (Conv((1, 1), NONE, (2, 3)), (1, 9, 9, 3), (3, 3, 3, 4), (1, 5, 3, 4)),
        (Conv((1, 1), NONE, (1, 1), 4), (1, 5, 5, 8), (1, 1, 2, 12), (1, 5, 5, 12)),
        (Conv((2,), ((1, 0),), (1,)), (3, 8, 5), (3, 5, 7), (3, 4, 7)),
        (Conv((1, 1, 2), ((0, 0),) * 3, (1, 1, 1)), (1, 4, 5, 6, 2), (2, 3, 2, 2, 9), (1, 3, 3, 3, 9)),
    ],
)
def test_shape(op: Conv, x: Shape, kernel: Shape, out: Shape) -> None:
    assert shape(op, x, kernel) == out
    assert shape(op, x, kernel, kernel[-1:]) == out


@pytest.mark.parametrize(
    ("op", "shapes", "parts"),
    [
        (PLAIN, ((2, 8), (3, 8)), ("convolution of this rank", "3 to 5 axes", "float32[2, 8]")),
        (PLAIN, ((1,) * 6, (1,) * 6), ("convolution of this rank", "3 to 5 axes")),
        (PLAIN, ((1, 8, 8, 3), (3, 3, 16)), ("kernel's rank", "4 axes", "float32[3, 3, 16]")),
        (Conv((1,), NONE, (1, 1)), ((1, 8, 8, 3), (3, 3, 3, 4)), ("strides", "2 entries", "(1,)")),
        (Conv((1, 1), ((0, 0),), (1, 1)), ((1, 8, 8, 3), (3, 3, 3, 4)), ("padding", "2 entries")),
        (Conv((1, 1), NONE, (1, 1, 1)), ((1, 8, 8, 3), (3, 3, 3, 4)), ("dilation", "2 entries", "(1, 1, 1)")),
        (Conv((0, 1), NONE, (1, 1)), ((1, 8, 8, 3), (3, 3, 3, 4)), ("strides must be positive", "at least 1")),
        (Conv((1, 1), NONE, (1, -2)), ((1, 8, 8, 3), (3, 3, 3, 4)), ("dilation must be positive", "(1, -2)")),
        (Conv((1, 1), NONE, (1, 1), 0), ((1, 8, 8, 3), (3, 3, 3, 4)), ("groups must be positive", "(0,)")),
        (Conv((1, 1), ((-1, 0), (0, 0)), (1, 1)), ((1, 8, 8, 3), (3, 3, 3, 4)), ("padding must not be negative", "-1")),
        (Conv((1, 1), NONE, (1, 1), 4), ((1, 8, 8, 6), (3, 3, 1, 4)), ("input channels", "a multiple of 4", "got 6")),
        (Conv((1, 1), NONE, (1, 1), 4), ((1, 8, 8, 8), (3, 3, 2, 6)), ("filters", "a multiple of 4", "got 6")),
        (PLAIN, ((1, 8, 8, 3), (3, 3, 5, 4)), ("input's channels", "expected 3 input channels", "[3, 3, 5, 4]")),
        (Conv((1, 1), NONE, (1, 1), 2), ((1, 8, 8, 6), (3, 3, 6, 4)), ("input's channels", "expected 3 input")),
        (PLAIN, ((1, 8, 8, 3), (3, 3, 3, 4), (3,)), ("bias", "(4,)", "(3,)")),
        (PLAIN, ((1, 8, 2, 3), (3, 3, 3, 4)), ("spatial axis 1", "at least 3", "2 + 0 + 0", "padding='same'")),
        (Conv((1, 1), NONE, (4, 1)), ((1, 8, 8, 3), (3, 3, 3, 4)), ("spatial axis 0", "at least 9", "8 + 0 + 0")),
        (Conv((1, 1), ((2**40, 2**40), (1, 1)), (2**40, 1)), ((1, 8, 8, 3), (3, 3, 3, 4)), ("padded input is too",)),
        (PLAIN, ((1, 8, 8, 3),), ("wrong number of inputs", "2 to 3", "got 1")),
        (PLAIN, ((1, 8, 8, 3), (3, 3, 3, 4), (4,), (4,)), ("wrong number of inputs", "2 to 3", "got 4")),
    ],
)  # fmt: skip
def test_refusals(op: Conv, shapes: tuple[Shape, ...], parts: tuple[str, ...]) -> None:
    assert_refused(op, *shapes, parts=parts)


def test_refuses_another_dtype_of_kernel() -> None:
    dtypes = (DType.FLOAT32, DType.INT32)
    assert_refused(
        PLAIN, (1, 8, 8, 3), (3, 3, 3, 4), dtypes=dtypes, parts=("differ in dtype", "expected float32", "got int32")
    )


def test_flops_count_a_multiply_add_as_two() -> None:
    made = node(PLAIN, (1, 5, 5, 3), (3, 3, 3, 4), (4,))
    assert made.op.flops(made.type, *(source.type for source in made.inputs)) == 9 * 4 * (2 * 27 + 1)


@pytest.mark.parametrize(("groups", "depth", "expected"), [(6, 1, True), (3, 2, False), (1, 6, False), (1, 1, False)])
def test_is_depthwise(groups: int, depth: int, expected: bool) -> None:
    op = Conv((1, 1), NONE, (1, 1), groups)
    assert op.is_depthwise(TensorType((3, 3, depth, 12))) is expected
