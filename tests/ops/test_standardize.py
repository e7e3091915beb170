from __future__ import annotations

import numpy as np
import pytest

from convc.ir import Shape
from convc.ops import Standardize
from tests.cases.case import Case
from tests.cases.standardize import CASES
from tests.ops.inference import assert_refused, shape


def test_shape() -> None:
    assert shape(Standardize((1, 2), 1e-3), (2, 3, 4)) == (2, 3, 4)


@pytest.mark.parametrize("axes", [(), (0, 0), (2,), (-1,)], ids=str)
def test_refuses_axes(axes: Shape) -> None:
    refused = Standardize(axes, 1e-3)
    assert_refused(refused, (2, 3), parts=("axes do not fit", "distinct axes from 0 to 1", f"got {axes}"))


@pytest.mark.parametrize(("axes", "groups"), [((1, 2), 3), ((1,), 2), ((2,), 0), ((2,), -1)])
def test_refuses_groups(axes: Shape, groups: int) -> None:
    parts = ("the groups do not fit", "a divisor of the last axis, which is normalised", f"got {groups} groups")
    assert_refused(Standardize(axes, 1e-3, groups=groups), (2, 3, 4), parts=parts)


@pytest.mark.parametrize("case", [case for case in CASES if case.op.epsilon < 1e-2], ids=lambda case: case.name)  # type: ignore[attr-defined]
def test_mean_and_mean_square(case: Case) -> None:
    """Zero where centred, and one, but for what epsilon takes of it."""
    op = case.op
    assert isinstance(op, Standardize)
    x = case.inputs()[0].astype(np.float64)
    y = op.reference(x)
    parts = [np.split(value, op.groups, axis=-1) for value in (x, y)]
    for before, after in zip(*parts, strict=True):
        mean = before.mean(axis=op.axes) if op.centered else 0.0
        if op.centered:
            np.testing.assert_allclose(after.mean(axis=op.axes), 0, atol=1e-9)
            before = before - np.expand_dims(mean, op.axes)
        variance = np.mean(before**2, axis=op.axes)
        np.testing.assert_allclose(np.mean(after**2, axis=op.axes), variance / (variance + op.epsilon), rtol=1e-12)
