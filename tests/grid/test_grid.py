"""Drawn cases of every layer, compiled and compared with Keras."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
import pytest

import convc
from tests.grid import ALL
from tests.grid.space import MANY, Sample, Space, parts, samples
from tests.support.keras import keras, predict, randomise, save
from tests.tolerances import RELATIVE, relative_error

pytestmark = pytest.mark.filterwarnings(r"ignore:[\s\S]*softmax over axis:UserWarning")
"""Keras warns of a softmax over one element, which is drawn too."""

PART = 24
"""Cases in one model: compiled together, which takes a fraction of the time."""


def check(drawn: Sequence[Sample], batch: int, folder: Path) -> None:
    """Compiles the samples side by side in one model, and fails with all whose answers are not Keras's."""
    keras.utils.clear_session()
    jax.clear_caches()  # type: ignore[no-untyped-call]  # programs of earlier cases, which are never run again
    inputs, outputs, owners = [], [], []
    for index, sample in enumerate(drawn):
        dtype = sample.space.dtype
        mine = [keras.Input(shape, name=f"x{index}_{i}", dtype=dtype) for i, shape in enumerate(sample.shapes)]
        made = sample.call(mine)
        made = list(made) if isinstance(made, (list, tuple)) else [made]
        inputs += mine
        outputs += made
        owners += [sample] * len(made)
    model = randomise(keras.Model(inputs, outputs), seed=zlib.crc32(drawn[0].label.encode()))
    rng = np.random.default_rng(batch)
    feeds = {
        f"x{index}_{i}": sample.space.feed(rng, (batch, *shape))
        for index, sample in enumerate(drawn)
        for i, shape in enumerate(sample.shapes)
    }
    want = predict(model, feeds)
    library = folder / "grid.so"
    convc.compile(save(model, folder), library, batch=batch)
    with convc.load(library) as module:
        got = list(module.run(feeds).values())
    wrong = []
    for sample, answer, expected in zip(owners, got, want, strict=True):
        error = relative_error(answer, expected)
        if error > RELATIVE["float32"]:
            wrong.append(f"{sample.label}, batch {batch}: relative error {error:.3g}, shape {answer.shape}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("space", ALL.values(), ids=ALL)
def test_every_value_of_every_argument(space: Space, tmp_path: Path) -> None:
    for batch, drawn in parts(samples(space), PART):
        check(drawn, batch, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("space", ALL.values(), ids=ALL)
def test_many(space: Space, tmp_path: Path) -> None:
    for batch, drawn in parts(samples(space, MANY), PART):
        check(drawn, batch, tmp_path)
