"""keras.applications, reduced so that they build in seconds, with every weight drawn so that nothing hides in zeros.

Keras's own initial values would: moving means of 0, variances of 1 and biases of 0 make a wrong fold look right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from convc.ir import Array
from tests.support.keras import keras, randomise


def _resnet50() -> Any:
    return keras.applications.ResNet50(weights=None, input_shape=(64, 64, 3), classes=20)


def _mobilenet_v2() -> Any:
    return keras.applications.MobileNetV2(weights=None, input_shape=(64, 64, 3), alpha=0.35, classes=20)


def _vgg16() -> Any:
    """With narrow dense layers: the original ones are 400 MB of weights and no other code."""
    base = keras.applications.VGG16(weights=None, input_shape=(32, 32, 3), include_top=False)
    x = keras.layers.Flatten(name="flatten")(base.output)
    x = keras.layers.Dense(96, activation="relu", name="fc1")(x)
    return keras.Model(base.input, keras.layers.Dense(20, activation="softmax", name="predictions")(x), name="vgg16")


MODELS: dict[str, Callable[[], Any]] = {"resnet50": _resnet50, "mobilenet_v2": _mobilenet_v2, "vgg16": _vgg16}
"""Name to what builds the keras.Model, with Keras's own initial weights."""


@dataclass(frozen=True)
class Sample:
    """A keras.Model with an input and its answer to it."""

    model: Any
    x: Array
    want: Array


def build(name: str, seed: int = 0) -> Sample:
    """The model with weights drawn by `seed`, on an input from N(0, 1) of batch 1.

    The last layer's kernel is scaled so that its logits are near N(0, 1): a saturated softmax hides every error.
    """
    keras.utils.clear_session()
    model = randomise(MODELS[name](), seed)
    x = np.random.default_rng(seed).standard_normal((1, *model.input_shape[1:]), np.float32)
    last = model.layers[-1]
    both = keras.Model(model.inputs, [last.input, *model.outputs])
    features, _ = both.predict(x, verbose=0)
    kernel = np.asarray(last.kernel.value)
    last.kernel.assign(kernel / np.std(features @ kernel))
    return Sample(model, x, both.predict(x, verbose=0)[1])
