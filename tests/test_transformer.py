"""Transformers: saved by Keras, compiled, loaded, and compared with Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convc
from tests.support.keras import keras, predict, randomise, save
from tests.tolerances import assert_close

L = keras.layers


def encoder(x: Any, heads: int, width: int, **call: Any) -> Any:
    """A block that normalises before it attends."""
    y = L.LayerNormalization(epsilon=1e-6)(x)
    x = L.Add()([x, L.MultiHeadAttention(heads, width // heads, dropout=0.1)(y, y, **call)])
    y = L.Dense(2 * width, activation="gelu")(L.LayerNormalization(epsilon=1e-6)(x))
    return L.Add()([x, L.Dense(width)(y)])


def vision() -> Any:
    """Patches by a convolution, two blocks, the mean of all places."""
    image = keras.Input((24, 24, 3), name="image")
    x = L.Reshape((36, 48))(L.Conv2D(48, 4, strides=4)(image))
    for _ in range(2):
        x = encoder(x, 3, 48)
    x = L.GlobalAveragePooling1D()(L.LayerNormalization()(x))
    return keras.Model(image, L.Dense(10)(x), name="vision")


def decoder() -> Any:
    """A causal block, then one that reads another sequence."""
    x, source = keras.Input((19, 32), name="x"), keras.Input((23, 40), name="source")
    y = encoder(x, 4, 32, use_causal_mask=True)
    y = L.LayerNormalization()(y + L.MultiHeadAttention(4, 8)(y, source))
    y = y + L.GroupQueryAttention(8, 4, 2)(y, y, use_causal_mask=True)
    return keras.Model([x, source], L.Dense(7)(y), name="decoder")


def masked() -> Any:
    """Steps that do not count: all their features are zero."""
    x = keras.Input((21, 2), name="x")
    y = L.Masking()(L.ReLU()(x))
    y = L.LayerNormalization()(L.MultiHeadAttention(2, 9)(y, y))
    return keras.Model(x, L.Attention(use_scale=True)([y, y]), name="masked")


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("make", [vision, decoder, masked])
def test_agrees_with_keras(make: Any, batch: int, tmp_path: Path) -> None:
    keras.utils.clear_session()
    model = randomise(make(), batch)
    rng = np.random.default_rng(batch)
    feeds = {node.name: rng.standard_normal((batch, *node.shape[1:]), np.float32) for node in model.inputs}
    library = tmp_path / "model.so"
    convc.compile(save(model, tmp_path), library, batch=batch)
    with convc.load(library) as module:
        (got,) = module.run(feeds).values()
    (want,) = predict(model, feeds)
    assert_close(got, want)
