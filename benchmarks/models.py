"""The measured models: keras.applications at full size, weights drawn at random, saved once as .keras."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

MODELS: Final = {
    "resnet50": "ResNet50",
    "vgg16": "VGG16",
    "mobilenetv2": "MobileNetV2",
    "mobilenetv3small": "MobileNetV3Small",
    "efficientnetb0": "EfficientNetB0",
    "densenet121": "DenseNet121",
    "inceptionv3": "InceptionV3",
    "xception": "Xception",
    "convnexttiny": "ConvNeXtTiny",
}
"""Name on the command line to the name in keras.applications."""

SIDES: Final = {"inceptionv3": 299, "xception": 299}
"""Pixels along the sides of the input; 224 where not named."""

PIXELS: Final = frozenset({"mobilenetv3small", "efficientnetb0", "convnexttiny"})
"""Models that scale pixels of 0 to 255 themselves; the others take what was scaled before."""

NORMED: Final = "_normed"
"""At the end of the file's name."""


def sample(name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """A seeded input: pixels, or values from N(0, 1)."""
    generator = np.random.default_rng(0)
    if name in PIXELS:
        return generator.uniform(0, 255, shape).astype(np.float32)
    return generator.standard_normal(shape, np.float32)


def ensure(name: str, folder: Path, *, normed: bool = False) -> Path:
    """The saved model `name` in `folder`, made if it is not there. A process of its own makes it: JAX stays out.

    `normed`: see `make`.
    """
    path = folder / f"{name}{NORMED if normed else ''}.keras"
    if not path.exists():
        subprocess.run([sys.executable, "-m", "benchmarks.models", name, str(path)], check=True)
    return path


def make(name: str, path: Path, *, normed: bool) -> None:
    """Draws the weights of model `name` and saves it at `path`, at once or not at all.

    The logits are scaled to a standard deviation of 1: a saturated softmax hides every error. `normed`: batch norms get
    the statistics of their data, as in trained networks; others may grow beyond what float16 holds.
    """
    from tests.support.keras import keras, randomise, save

    side = SIDES.get(name, 224)
    network = getattr(keras.applications, MODELS[name])
    logits = randomise(network(weights=None, classifier_activation=None, input_shape=(side, side, 3)))
    if normed:
        for layer in logits.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = 0.0
        logits(sample(name, (8, side, side, 3)), training=True)
    deviation = float(np.std(logits.predict(sample(name, (1, side, side, 3)), verbose=0)))
    last = next(layer for layer in reversed(logits.layers) if layer.weights)
    for weight in last.weights:
        weight.assign(np.asarray(weight.value) / deviation)
    answer = keras.layers.Activation("softmax", name="probabilities")(logits.output)
    unfinished = path.with_suffix(".unfinished")
    unfinished.mkdir(parents=True, exist_ok=True)
    save(keras.Model(logits.input, answer, name=name), unfinished).replace(path)
    unfinished.rmdir()


if __name__ == "__main__":
    _name, _path = sys.argv[1], Path(sys.argv[2])
    make(_name, _path, normed=_path.stem.endswith(NORMED))
