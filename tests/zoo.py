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


def _application(name: str, size: int = 64, **options: Any) -> Callable[[], Any]:
    """One of keras.applications on square images, with a softmax over 20 classes."""

    def make() -> Any:
        build = getattr(keras.applications, name)
        return build(weights=None, input_shape=(size, size, 3), classes=20, **options)

    return make


def _vgg16() -> Any:
    """With narrow dense layers: the original ones are 400 MB of weights and no other code."""
    base = keras.applications.VGG16(weights=None, input_shape=(32, 32, 3), include_top=False)
    x = keras.layers.Flatten(name="flatten")(base.output)
    x = keras.layers.Dense(96, activation="relu", name="fc1")(x)
    return keras.Model(base.input, keras.layers.Dense(20, activation="softmax", name="predictions")(x), name="vgg16")


MODELS: dict[str, Callable[[], Any]] = {
    "convnext_tiny": _application("ConvNeXtTiny"),
    "densenet121": _application("DenseNet121"),
    "efficientnet_b0": _application("EfficientNetB0"),
    "efficientnet_v2_b0": _application("EfficientNetV2B0"),
    "inception_resnet_v2": _application("InceptionResNetV2", 75),
    "inception_v3": _application("InceptionV3", 75),
    "mobilenet": _application("MobileNet", alpha=0.5),
    "mobilenet_v2": _application("MobileNetV2", alpha=0.35),
    "mobilenet_v3_large": _application("MobileNetV3Large"),
    "mobilenet_v3_small": _application("MobileNetV3Small"),
    "nasnet_mobile": _application("NASNetMobile"),
    "resnet50": _application("ResNet50"),
    "resnet50_v2": _application("ResNet50V2"),
    "vgg16": _vgg16,
    "xception": _application("Xception", 71),
}
"""Name to what builds the keras.Model, with Keras's own initial weights. Others are repetitions of these."""

QUICK = ("convnext_tiny", "efficientnet_v2_b0", "mobilenet_v2", "mobilenet_v3_small", "resnet50", "vgg16")
"""Those that every run of the tests compiles; the others take longer, and are read only."""


@dataclass(frozen=True)
class Sample:
    """A keras.Model with an input and its answer to it."""

    model: Any
    x: Array
    want: Array


def build(name: str, seed: int = 0) -> Sample:
    """The model with weights drawn by `seed`, on an input from N(0, 1) of batch 1.

    The last kernel is scaled so that its logits are near N(0, 1): a saturated softmax hides every error.
    """
    keras.utils.clear_session()
    model = randomise(MODELS[name](), seed)
    x = np.random.default_rng(seed).standard_normal((1, *model.input_shape[1:]), np.float32)
    last = next(layer for layer in reversed(model.layers) if hasattr(layer, "kernel"))
    both = keras.Model(model.inputs, [last.input, *model.outputs])
    features, _ = both.predict(x, verbose=0)
    kernel = np.asarray(last.kernel.value)
    last.kernel.assign(kernel / np.std(features @ kernel))
    return Sample(model, x, both.predict(x, verbose=0)[1])
