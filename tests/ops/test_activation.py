from __future__ import annotations

import pytest

from convc.ir import DType, Elementwise
from convc.ops import PRelu, activation
from convc.ops.unary import Function
from tests.cases.activation import ALL
from tests.ops.inference import assert_refused, shape


@pytest.mark.parametrize("name", ALL)
def test_keeps_the_shape_and_is_elementwise(name: str) -> None:
    assert shape(ALL[name], (2, 3, 4)) == (2, 3, 4)
    assert isinstance(ALL[name], Elementwise)


@pytest.mark.parametrize("name", ALL)
def test_refuses_two_inputs(name: str) -> None:
    assert_refused(ALL[name], (2,), (2,), parts=("wrong number of inputs", "expected 1", "got 2"))


@pytest.mark.parametrize("name", ALL)
def test_refuses_integers(name: str) -> None:
    parts = ("no floating point", "expected float32", "got int32")
    assert_refused(ALL[name], (2,), dtypes=(DType.INT32,), parts=parts)


def test_every_activation_has_cases() -> None:
    classes = {value for value in vars(activation).values() if isinstance(value, type) and issubclass(value, Function)}
    assert classes - {Function} == {type(op) for op in ALL.values()}


def test_the_slopes_of_prelu_broadcast() -> None:
    assert shape(PRelu(), (2, 3, 4), (1, 4)) == (2, 3, 4)
    assert_refused(PRelu(), (2, 3), (2,), parts=("do not broadcast",))
