"""Whole networks: saved by Keras, compiled, loaded, and compared with Keras."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import convc
from tests import zoo
from tests.support.keras import save
from tests.tolerances import assert_close


@pytest.mark.parametrize("name", zoo.MODELS)
def test_agrees_with_keras(name: str, tmp_path: Path) -> None:
    sample = zoo.build(name)
    library = tmp_path / f"{name}.so"
    assert np.ptp(sample.want) > 0.05, "the answer is too flat to compare"
    assert sample.want.max() < 0.9, "a saturated answer hides errors"

    report = convc.compile(save(sample.model, tmp_path), library)
    assert report.library_bytes <= report.weights_bytes + (2 << 20)
    with convc.load(library) as module:
        got = module(sample.x)
    assert isinstance(got, np.ndarray)
    assert_close(got, sample.want)
