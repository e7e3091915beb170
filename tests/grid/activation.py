"""Activations: layers, every name, and the functions that have axes."""

from __future__ import annotations

import numpy as np

from convc.ir import Array, Shape
from tests.grid.space import CHANNELS, Arguments, Made, Rng, Space, pick, spatial
from tests.support.keras import keras

NAMES = (
    "celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh",
    "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu",
    "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus",
    "swish", "tanh", "tanh_shrink",
)  # fmt: skip
OBJECTS = (
    Made("activations.relu", lambda: keras.activations.relu),
    Made("layers.ReLU(6.0)", lambda: keras.layers.ReLU(6.0)),
    Made("layers.LeakyReLU()", lambda: keras.layers.LeakyReLU()),
    Made("layers.ELU(0.5)", lambda: keras.layers.ELU(0.5)),
    Made("layers.Softmax()", lambda: keras.layers.Softmax()),
    Made("layers.Activation('tanh')", lambda: keras.layers.Activation("tanh")),
)
SLOPES = (0, 0.1, 1.0, 1.5)
FACTORS = (1.0, 0.3, -0.5)


def _any_rank(rng: Rng, a: Arguments) -> Shape:
    return (*spatial(rng, int(rng.integers(3))), pick(rng, CHANNELS))


def _image(rng: Rng, a: Arguments) -> Shape:
    return (*spatial(rng, 2), pick(rng, CHANNELS))


def _even(rng: Rng, a: Arguments) -> Shape:
    """What can be halved along any axis."""
    return (*(2 * extent for extent in spatial(rng, 2)), 2 * pick(rng, CHANNELS))


def _wide(rng: Rng, shape: Shape) -> Array:
    """Values on both sides of every bend, and beyond."""
    return rng.normal(0, 3, shape).astype(np.float32)


def _function(name: str, *axes: int | tuple[int, ...] | None) -> Space:
    return Space(f"keras.ops.{name}", {"axis": axes}, _image, feed=_wide)


SPACES = [
    Space(
        "Activation",
        {"activation": (*NAMES, *OBJECTS)},
        lambda rng, a: _even(rng, a) if a["activation"] == "glu" else _any_rank(rng, a),
        feed=_wide,
    ),
    Space(
        "ReLU",
        {"max_value": (None, 6, 6.0, 1.5, 0.0), "negative_slope": SLOPES, "threshold": (0, 0.5, 2.0)},
        _any_rank,
        feed=_wide,
    ),
    Space("LeakyReLU", {"negative_slope": (0.3, *SLOPES)}, _any_rank, feed=_wide),
    Space("ELU", {"alpha": FACTORS}, _any_rank, feed=_wide),
    Space("PReLU", {"shared_axes": (None, 1, [1], [1, 2], (3,), (3, 1), [1, 2, 3])}, _image, feed=_wide),
    Space("Softmax", {"axis": (-1, 1, 2, 3, (1, 2), [-1, 1], [2], (1, 2, 3))}, _image, feed=_wide),
    _function("softmax", -1, 0, 2, (1, 2), (3, 0), None),
    _function("log_softmax", -1, 0, 2, (1, 2), (3, 0), None),
    _function("sparsemax", -1, 0, 1, 2),
]
