from __future__ import annotations

import pytest

from convc.ir import DType, Shape
from convc.ops import MatMul
from tests.ops.inference import assert_refused, node, shape

PLAIN = MatMul((0, 1), (1, 2), (0, 2))


def test_shape() -> None:
    assert shape(PLAIN, (3, 5), (5, 7)) == (3, 7)
    assert shape(MatMul((0, 2, 1, 4), (0, 3, 1, 4), (0, 1, 2, 3)), (2, 11, 3, 8), (2, 13, 3, 8)) == (2, 3, 11, 13)
    assert shape(MatMul((1,), (2,), (1, 2)), (3,), (5,)) == (3, 5)


@pytest.mark.parametrize(
    ("op", "shapes", "parts"),
    [
        (PLAIN, ((3, 5), (6, 7)), ("differ in an axis that they share", "(3, 5)", "(6, 7)")),
        (PLAIN, ((3, 5, 1), (5, 7)), ("left operand does not fit", "2 axes", "(3, 5, 1)")),
        (PLAIN, ((3, 5), (5,)), ("right operand does not fit", "2 axes", "(5,)")),
        (MatMul((0, 0), (0, 1), (0, 1)), ((3, 3), (3, 2)), ("labels make no sense", "distinct")),
        (MatMul((0, 1), (1, 2), (0, 2, 3)), ((3, 5), (5, 7)), ("labels make no sense",)),
        (MatMul((0, 1), (2, 3), (0, 3)), ((3, 5), (5, 7)), ("labels make no sense", "in both operands")),
        (MatMul((0, 1), (1, 2), (2, 0)), ((3, 5), (5, 7)), ("the last of 'out' in 'right'",)),
        (MatMul((0,), (0,), ()), ((3,), (3,)), ("labels make no sense",)),
        (PLAIN, ((3, 5),), ("wrong number of inputs", "got 1")),
    ],
)
def test_refusals(op: MatMul, shapes: tuple[Shape, ...], parts: tuple[str, ...]) -> None:
    assert_refused(op, *shapes, parts=parts)


def test_refuses_integers() -> None:
    assert_refused(PLAIN, (3, 5), (5, 7), dtypes=(DType.INT32,) * 2, parts=("dtype", "float32", "int32"))


def test_flops() -> None:
    made = node(MatMul((0, 1, 2, 3), (2, 3, 4), (0, 1, 4)), (2, 3, 4, 5), (4, 5, 6))
    assert made.op.flops(made.type, *(source.type for source in made.inputs)) == 2 * 36 * 20
