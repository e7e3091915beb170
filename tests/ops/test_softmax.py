from __future__ import annotations

import numpy as np
import pytest

from convc.ir import Shape
from convc.ops import LogSoftmax, Softmax
from tests.cases.case import Case
from tests.cases.softmax import CASES
from tests.ops.inference import assert_refused, shape


def test_shape() -> None:
    assert shape(Softmax((1, 2)), (2, 3, 4)) == (2, 3, 4)


@pytest.mark.parametrize("axes", [(), (0, 0), (2,), (-1,)], ids=str)
def test_refuses_axes(axes: Shape) -> None:
    assert_refused(Softmax(axes), (2, 3), parts=("axes do not fit", "distinct axes from 0 to 1", f"got {axes}"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_sums_to_one(case: Case) -> None:
    assert isinstance(case.op, Softmax)
    y = case.op.reference(case.inputs()[0].astype(np.float64))
    total = (np.exp(y) if isinstance(case.op, LogSoftmax) else y).sum(axis=case.op.axes)
    np.testing.assert_allclose(total, 1, rtol=1e-12)
