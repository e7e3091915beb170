from __future__ import annotations

import pytest

from convc.ir import Elementwise
from convc.ops import Unary
from tests.cases.activation import ALL
from tests.ops.inference import assert_refused, shape


@pytest.mark.parametrize("name", ALL)
def test_keeps_the_shape_and_is_elementwise(name: str) -> None:
    assert shape(ALL[name], (2, 3, 4)) == (2, 3, 4)
    assert isinstance(ALL[name], Elementwise)


@pytest.mark.parametrize("name", ALL)
def test_refuses_two_inputs(name: str) -> None:
    assert_refused(ALL[name], (2,), (2,), parts=("wrong number of inputs", "expected 1", "got 2"))


def test_every_activation_has_cases() -> None:
    assert set(Unary.__subclasses__()) == {type(op) for op in ALL.values()}
