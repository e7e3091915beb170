from __future__ import annotations

import pytest

from convc.ir import DType, Elementwise
from convc.ops import unary
from convc.ops.unary import Function, Unary
from tests.cases.unary import ALL
from tests.ops.inference import assert_refused, shape


@pytest.mark.parametrize("name", ALL)
def test_keeps_the_shape_and_is_elementwise(name: str) -> None:
    assert shape(ALL[name], (2, 3, 4)) == (2, 3, 4)
    assert isinstance(ALL[name], Elementwise)


@pytest.mark.parametrize("name", ALL)
def test_refuses_two_inputs_and_integers(name: str) -> None:
    assert_refused(ALL[name], (2,), (2,), parts=("wrong number of inputs", "expected 1", "got 2"))
    parts = ("no floating point", "expected float32", "got int32")
    assert_refused(ALL[name], (2,), dtypes=(DType.INT32,), parts=parts)


def test_every_function_has_cases() -> None:
    classes = {value for value in vars(unary).values() if isinstance(value, type) and issubclass(value, Function)}
    assert classes - {Function} == {type(op) for op in ALL.values()}
    assert issubclass(Function, Unary)
