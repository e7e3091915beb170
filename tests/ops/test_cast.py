from __future__ import annotations

import numpy as np
import pytest

from convc.ir import MODEL_TYPES, DType
from convc.ops import Cast
from tests.ops.inference import node


@pytest.mark.parametrize("source", MODEL_TYPES)
@pytest.mark.parametrize("target", MODEL_TYPES)
def test_type(source: DType, target: DType) -> None:
    made = node(Cast(target), (2, 3), dtypes=(source,))
    assert made.type.shape == (2, 3)
    assert made.type.dtype is target


def test_fractions_are_cut_off_towards_zero() -> None:
    values = Cast(DType.INT32).reference(np.array([0.9, -0.9, 1.5, -1.5, 2.0]))
    assert values.tolist() == [0, 0, 1, -1, 2]
    assert values.dtype == np.int32


def test_what_no_int32_holds() -> None:
    values = Cast(DType.INT32).reference(np.array([np.nan, np.inf, -np.inf, 2.0**31, -(2.0**31)]))
    assert values.tolist() == [0, (1 << 31) - 1, -(1 << 31), (1 << 31) - 1, -(1 << 31)]


def test_integers_are_exact() -> None:
    values = np.array([(1 << 31) - 1, -(1 << 31), 16777217], np.int32)
    assert Cast(DType.FLOAT32).reference(values).tolist() == values.tolist()
