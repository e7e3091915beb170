from __future__ import annotations

import pytest

from convc.ir import DType, Shape
from convc.ops import Dense
from tests.ops.inference import assert_refused, node, shape


@pytest.mark.parametrize("lead", [(), (3,), (2, 5), (1, 4, 4)])
def test_shape(lead: Shape) -> None:
    assert shape(Dense(), (*lead, 6), (6, 10)) == (*lead, 10)
    assert shape(Dense(), (*lead, 6), (6, 10), (10,)) == (*lead, 10)


@pytest.mark.parametrize(
    ("shapes", "parts"),
    [
        (((1, 6), (5, 10)), ("last axis", "(6, units)", "(5, 10)")),
        (((1, 6), (6,)), ("last axis", "(6, units)", "(6,)")),
        (((1, 6), (1, 6, 2)), ("last axis", "(1, 6, 2)")),
        (((), (1, 6)), ("last axis", "(1, 6)")),
        (((1, 6), (6, 10), (6,)), ("bias", "(10,)", "(6,)")),
        (((1, 6),), ("wrong number of inputs", "2 to 3", "got 1")),
    ],
)
def test_refusals(shapes: tuple[Shape, ...], parts: tuple[str, ...]) -> None:
    assert_refused(Dense(), *shapes, parts=parts)


def test_refuses_another_dtype_of_kernel() -> None:
    dtypes = (DType.FLOAT32, DType.INT32)
    assert_refused(Dense(), (1, 6), (6, 2), dtypes=dtypes, parts=("differ in dtype", "float32", "int32"))


def test_flops() -> None:
    made = node(Dense(), (3, 6), (6, 10), (10,))
    assert made.op.flops(made.type, *(source.type for source in made.inputs)) == 30 * 13
