"""Normalisation by given, learnt and computed statistics, as layers and as functions.

Where statistics are computed they are of four elements at least: Keras takes x * scale - mean * scale, in which nothing
but rounding is left of an element that is its own mean.
"""

from __future__ import annotations

import numpy as np

from convc.ir import Array, Shape
from tests.grid.space import CHANNELS, Arguments, Made, Rng, Space, pick, spatial
from tests.support.keras import keras

MANY_CHANNELS = (4, 6, 10, 17, 33)
EPSILONS = (1e-3, 1e-6, 0.5)
BOTH = (True, False)


def _any_rank(rng: Rng, a: Arguments) -> Shape:
    """One to four axes, the last one long enough for statistics."""
    return (*spatial(rng, int(rng.integers(0, 4)), most=5), pick(rng, MANY_CHANNELS))


def _image(rng: Rng, a: Arguments) -> Shape:
    return (*spatial(rng, 2, 4), pick(rng, MANY_CHANNELS))


def _shape_for(rng: Rng, a: Arguments) -> Shape:
    return _any_rank(rng, a) if a["axis"] == -1 else _image(rng, a)


def _in_groups(rng: Rng, a: Arguments) -> Shape:
    """Twelve channels along the axis; other axes may be missing where it is the last one, and the groups are large."""
    shape = [pick(rng, (4, 5, 7)), pick(rng, (4, 6, 9)), pick(rng, (4, 5, 8))]
    shape[a["axis"] - 1 if a["axis"] > 0 else a["axis"]] = 12
    return tuple(shape[2:] if a["axis"] == -1 and a["groups"] in (1, 2, 3) and rng.random() < 0.3 else shape)


def _vector(count: int, *, positive: bool = False, tensor: bool = False) -> Made:
    def make() -> object:
        values = np.random.default_rng(count).normal(0, 1, count).astype(np.float32)
        array: Array = np.abs(values) + np.float32(0.5) if positive else values
        return keras.ops.convert_to_tensor(array) if tensor else array

    return Made(f"vector({count})", make)


def _six(rng: Rng, a: Arguments) -> Shape:
    """All axes but the batch are of six elements."""
    return (6, 6, 6)


SPACES = [
    Space(
        "LayerNormalization",
        {
            "axis": (-1, 1, -2, [2, 3], (3, 1), [-1, 1], (1, 2, 3)),
            "epsilon": EPSILONS,
            "center": BOTH,
            "scale": BOTH,
        },
        _shape_for,
    ),
    Space(
        "GroupNormalization",
        {
            "groups": (1, 2, 3, 6, 12, -1),
            "axis": (-1, 1, -2),
            "epsilon": EPSILONS,
            "center": BOTH,
            "scale": BOTH,
        },
        _in_groups,
    ),
    Space("RMSNormalization", {"axis": (-1, 3, [2, 3], (1, 2, 3)), "epsilon": EPSILONS}, _shape_for),
    Space("UnitNormalization", {"axis": (-1, 1, [2, 3], (3, 1))}, _shape_for),
    Space(
        "BatchNormalization",
        {
            "axis": (-1, 1, 2, -2, 3),
            "epsilon": EPSILONS,
            "center": BOTH,
            "scale": BOTH,
            "renorm": (False, True),
            "renorm_clipping": (None, {"rmax": 2.0}),
            "renorm_momentum": (0.99, 0.5),
        },
        _shape_for,
    ),
    Space(
        "SpectralNormalization",
        {
            "layer": (
                Made("Dense(5)", lambda: keras.layers.Dense(5)),
                Made("Conv2D(7, 3)", lambda: keras.layers.Conv2D(7, 3)),
            ),
            "power_iterations": (1, 3),
        },
        _image,
    ),
    Space(
        "Normalization",
        {
            "axis": (-1, 2, None, (1, -1)),
            "mean": (None, 0.4, [0.1, 0.2, 0.3]),
            "variance": (None, 2.0, [1.0, 4.0, 0.5]),
            "invert": (False, True),
        },
        lambda rng, a: (*spatial(rng, 2, 2), 3),
        suits=lambda a: type(a["mean"]) is type(a["variance"]) and (a["mean"] is None or a["axis"] == -1),
    ),
    Space(
        "keras.ops.layer_normalization",
        {"gamma": (None, _vector(6)), "beta": (None, _vector(6)), "axis": (-1, 1, -2, [3]), "epsilon": (None, 0.1)},
        _six,
    ),
    Space(
        "keras.ops.rms_normalization",
        {"scale": (None, _vector(6)), "axis": (-1, 1, (1, 2), [-1]), "epsilon": (None, 0.1)},
        _six,
    ),
    Space(
        "keras.ops.batch_normalization",
        {
            "mean": (_vector(6, tensor=True),),
            "variance": (_vector(6, tensor=True, positive=True),),
            "axis": (-1, 1, -2),
            "offset": (None, _vector(6, tensor=True)),
            "scale": (None, _vector(6, tensor=True)),
            "epsilon": (1e-3, 0.2),
        },
        _six,
    ),
    Space(
        "keras.ops.normalize",
        {"axis": (-1, 1, -2), "order": (1, 2, 3, 4), "epsilon": (None, 1.5)},
        lambda rng, a: (*spatial(rng, 2, 2), pick(rng, CHANNELS)),
    ),
]
