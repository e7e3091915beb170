"""The measured models: keras.applications at full size, weights drawn at random, saved once as .keras."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

MODELS: Final = {
    "resnet50": "ResNet50",
    "vgg16": "VGG16",
    "mobilenetv2": "MobileNetV2",
}
"""Name on the command line to the name in keras.applications."""


def ensure(name: str, folder: Path) -> Path:
    """The saved model `name` in `folder`, made if it is not there. A process of its own makes it: JAX stays out."""
    path = folder / f"{name}.keras"
    if not path.exists():
        subprocess.run([sys.executable, "-m", "benchmarks.models", name, str(path)], check=True)
    return path


def make(name: str, path: Path) -> None:
    """Draws the weights of model `name` and saves it at `path`, at once or not at all.

    The logits are scaled to a standard deviation of 1: a saturated softmax hides every error.
    """
    import numpy as np

    from tests.support.keras import keras, randomise, save

    logits = randomise(getattr(keras.applications, MODELS[name])(weights=None, classifier_activation=None))
    x = np.random.default_rng(0).standard_normal((1, *logits.input_shape[1:]), np.float32)
    deviation = float(np.std(logits.predict(x, verbose=0)))
    last = next(layer for layer in reversed(logits.layers) if layer.weights)
    for weight in last.weights:
        weight.assign(np.asarray(weight.value) / deviation)
    answer = keras.layers.Activation("softmax", name="probabilities")(logits.output)
    unfinished = path.parent / f"{name}.unfinished"
    unfinished.mkdir(parents=True, exist_ok=True)
    save(keras.Model(logits.input, answer, name=name), unfinished).replace(path)
    unfinished.rmdir()


if __name__ == "__main__":
    make(sys.argv[1], Path(sys.argv[2]))
