from __future__ import annotations

import numpy as np
import pytest

from convc.ir import DType, Origin
from convc.ops import Constant, constant

ORIGIN = Origin("weights", "Constant")


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)], ids=str)
def test_a_constant_keeps_its_shape(shape: tuple[int, ...]) -> None:
    node = constant(np.ones(shape), ORIGIN)
    assert node.type.shape == shape
    assert node.type.dtype is DType.FLOAT32


def test_a_constant_is_contiguous_and_little_endian() -> None:
    value = np.arange(6, dtype=">f8").reshape(2, 3).T
    op = constant(value, ORIGIN).op
    assert isinstance(op, Constant)
    assert op.value.flags["C_CONTIGUOUS"]
    assert op.value.dtype == np.dtype("<f4")
    np.testing.assert_array_equal(op.value, value)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "int32"])
def test_integers_become_int32(dtype: str) -> None:
    assert constant(np.array([1, 2], dtype), ORIGIN).type.dtype is DType.INT32
