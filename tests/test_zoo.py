"""Whole networks: saved by Keras, compiled, loaded, and compared with Keras."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import convc
from convc.frontends.keras import load
from tests import zoo
from tests.support.keras import save
from tests.tolerances import assert_close

SLOW = [name for name in zoo.MODELS if name not in zoo.QUICK]


@pytest.mark.parametrize("name", [*zoo.QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
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


@pytest.mark.parametrize("name", SLOW)
def test_the_others_are_read(name: str) -> None:
    model = zoo.MODELS[name]()
    graph = load(json.loads(model.to_json()), weights="random")
    assert graph.outputs[0].type.shape == (1, 20)
    assert len(graph.nodes) > len(model.layers)
