"""Every case and every fused graph, as tensor expressions that nobody has scheduled, against the references."""

from __future__ import annotations

import numpy as np
import pytest

from convc.target import native
from tests.support.kernels import PARTS, Kernels, check, unscheduled


@pytest.mark.parametrize("part", PARTS)
def test_cases(part: str) -> None:
    subjects = PARTS[part]
    kernels = Kernels([subject.graph for subject in subjects], native(), unscheduled)
    check(kernels.run, subjects)


def test_a_wrong_answer_fails() -> None:
    subject = PARTS["dense-0"][0]
    right = subject.want
    check(lambda _: right, [subject])
    wrong = {name: value * (1 + 3e-6) for name, value in right.items()}
    with pytest.raises(AssertionError, match="relative error 3e-06"):
        check(lambda _: wrong, [subject])
    missing = {
        name: np.where(np.arange(value.size).reshape(value.shape) == 0, np.nan, value) for name, value in right.items()
    }
    with pytest.raises(AssertionError, match="relative error inf"):
        check(lambda _: missing, [subject])
