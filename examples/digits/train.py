"""Trains the demo's classifier on scikit-learn's 8x8 digits; writes digits.keras and heldout.npz beside this file.

Needs the "dev" extra (Keras with jax, scikit-learn). Seeded; a minute on two cores. Run it as
`python examples/digits/train.py`.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"

import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

HERE = Path(__file__).parent
SEED = 7


def build() -> keras.Model:
    """A small residual network: images of 8x8x1 in [0, 1] to ten probabilities."""
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(24, 3, padding="same", use_bias=False, name="stem")(image)
    x = layers.BatchNormalization(name="stem_bn")(x)
    x = layers.ReLU(name="stem_relu")(x)

    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="block1_depthwise")(x)
    y = layers.BatchNormalization(name="block1_bn")(y)
    y = layers.ReLU(6.0, name="block1_relu6")(y)
    y = layers.Conv2D(24, 1, name="block1_project")(y)
    x = layers.Add(name="block1_add")([x, y])
    x = layers.MaxPooling2D(2, name="block1_pool")(x)

    x = layers.SeparableConv2D(40, 3, padding="same", use_bias=False, name="block2_separable")(x)
    x = layers.BatchNormalization(name="block2_bn")(x)
    x = layers.Activation("silu", name="block2_silu")(x)
    y = layers.Conv2D(40, 3, padding="same", use_bias=False, name="block3_conv")(x)
    y = layers.BatchNormalization(name="block3_bn")(y)
    x = layers.Add(name="block3_add")([x, y])
    x = layers.ReLU(name="block3_relu")(x)

    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(0.3, seed=SEED, name="dropout")(x)
    return keras.Model(image, layers.Dense(10, activation="softmax", name="digit")(x), name="digits")


def main() -> None:
    """Trains, reports the held-out accuracy, and writes the two files."""
    keras.utils.set_random_seed(SEED)
    digits = load_digits()
    images = (digits.images[..., None] / 16).astype(np.float32)
    train, heldout, train_labels, labels = train_test_split(
        images, digits.target.astype(np.int64), test_size=360, random_state=SEED, stratify=digits.target
    )
    # Each image and its eight shifts by one pixel.
    shifts = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    padded = np.pad(train, [(0, 0), (1, 1), (1, 1), (0, 0)])
    augmented = np.concatenate([padded[:, 1 + dy : 9 + dy, 1 + dx : 9 + dx] for dy, dx in shifts])

    model = build()
    epochs, batch = 24, 128
    steps = epochs * -(-len(augmented) // batch)
    rate = keras.optimizers.schedules.CosineDecay(4e-3, steps)
    model.compile(keras.optimizers.Adam(rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(augmented, np.tile(train_labels, len(shifts)), batch, epochs, verbose=2)
    accuracy = float(np.mean(model.predict(heldout, verbose=0).argmax(1) == labels))
    print(f"held-out accuracy: {accuracy:.2%} of {len(labels)}")

    # Saved without the optimizer: it is half of the file, and means nothing at inference.
    inference = build()
    inference.set_weights(model.get_weights())
    inference.save(HERE / "digits.keras")
    np.savez_compressed(HERE / "heldout.npz", images=heldout, labels=labels.astype(np.uint8))


if __name__ == "__main__":
    main()
