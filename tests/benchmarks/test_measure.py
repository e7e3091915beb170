"""The guards of a measurement: nothing is timed here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.measure import Entry, Runner, check
from convc.errors import ConvcError


def test_a_contender_that_cannot_open_its_model_is_named(tmp_path: Path) -> None:
    with Runner(Entry("convc", tmp_path / "missing.so", ()), threads=1) as runner, pytest.raises(ConvcError) as caught:
        runner.answers()
    assert "convc: cannot run this model" in str(caught.value)
    assert "missing.so" in str(caught.value)


def test_a_wrong_answer_is_refused() -> None:
    right = np.arange(1, 9, dtype=np.float32)
    check("peer", [right * np.float32(1 + 1e-6)], [right])
    with pytest.raises(ConvcError, match="peer: its answer is not convc's"):
        check("peer", [right * np.float32(1 + 1e-4)], [right])
