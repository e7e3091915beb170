"""Layers that do nothing at inference, augmentation above all, as Keras saves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from convc.errors import ConvcError
from convc.frontends.keras import load
from convc.frontends.keras.identity import AUGMENTATIONS
from tests.support.configs import layer
from tests.support.configs import sequential as config
from tests.support.keras import assert_same, keras

L = keras.layers

ARGUMENTS: dict[str, dict[str, Any]] = {
    "RandomBrightness": {"factor": 0.5}, "RandomColorDegeneration": {"factor": 0.5},
    "RandomColorJitter": {"brightness_factor": 0.5}, "RandomContrast": {"factor": 0.5},
    "RandomHue": {"factor": 0.5}, "RandomPosterization": {"factor": 4}, "RandomRotation": {"factor": 0.5},
    "RandomSaturation": {"factor": 0.5}, "RandomSharpness": {"factor": 0.5}, "RandomShear": {"x_factor": 0.5},
    "RandomTranslation": {"height_factor": 0.5, "width_factor": 0.5}, "RandomZoom": {"height_factor": 0.5},
    "RandomCrop": {"height": 8, "width": 9},
}  # fmt: skip
OLD = ("RandomHeight", "RandomWidth")
"""Classes of Keras 2."""


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64:UserWarning")
def test_augmentation_is_for_training(tmp_path: Path) -> None:
    """Functional configs of Keras 3 say training=True of every call of such a layer."""
    x = keras.Input((8, 9, 3), name="x")
    made = [getattr(L, name)(**ARGUMENTS.get(name, {})) for name in AUGMENTATIONS if name not in OLD]
    graph = assert_same(keras.Model(x, L.Flatten()(keras.Sequential(made)(x))), tmp_path)
    assert len(graph.nodes) == 2
    y = x
    for name in ("RandomFlip", "RandomContrast", "RandomCrop"):
        y = getattr(L, name)(**ARGUMENTS.get(name, {}))(y)
    assert_same(keras.Model(x, L.Flatten()(y)), tmp_path)


def test_regularization_is_for_training(tmp_path: Path) -> None:
    x = keras.Input((4, 5, 6, 2), name="x")
    made = [L.AlphaDropout(0.5), L.GaussianDropout(0.5), L.SpatialDropout3D(0.5), L.ActivityRegularization(l1=1.0)]
    made += [L.GaussianNoise(1.0), L.Dropout(0.5), L.Reshape((20, 12)), L.SpatialDropout1D(0.5)]
    made += [L.Reshape((4, 5, 12)), L.SpatialDropout2D(0.5, data_format="channels_first")]
    y = x
    for part in made:
        y = part(y)
    assert_same(keras.Model(x, y), tmp_path)


def problem(kind: str, shape: tuple[int, ...], **arguments: Any) -> str:
    """What is said about that layer."""
    with pytest.raises(ConvcError) as caught:
        load(config(layer(kind, "random", **arguments), layer("Flatten", "end"), shape=shape))
    return str(caught.value)


def test_crops_are_refused_where_keras_contradicts_itself() -> None:
    message = problem("RandomCrop", (8, 9, 3), height=4, width=4)
    assert "it crops in training, and not at inference" in message
    assert "CenterCrop or Resizing" in message
    problem("RandomCrop", (8, 9, 3), height=8, width=9, data_format="channels_first")
    assert "'height' is wrong" in problem("RandomCrop", (8, 9, 3), height=0, width=4)


def test_images_only() -> None:
    assert "the input is no image" in problem("RandomFlip", (9,))
