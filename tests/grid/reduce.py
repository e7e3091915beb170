"""Functions that reduce whole axes."""

from __future__ import annotations

import math

import numpy as np

from convc.ir import Array, Shape
from tests.grid.space import CHANNELS, Arguments, Rng, Space, pick, spatial

AXES = (None, 0, 1, -1, 2, (1, 2), [2, 3], (3, 1), [-1, 0], (1, 2, 3), (0, 1, 2, 3))
FEW_AXES = (None, -1, [1, 2], (3, 1))
"""For functions that share their reductions with those of `AXES`."""
BOTH = (False, True)


def _shape(rng: Rng, a: Arguments) -> Shape:
    return (*spatial(rng, 2), pick(rng, (*CHANNELS, 33)))


def _near_one(rng: Rng, shape: Shape) -> Array:
    """Of either sign: products of many stay in range."""
    signs = np.where(rng.random(shape) < 0.5, -1, 1)
    return (signs * np.exp(rng.normal(0, 0.1, shape))).astype(np.float32)


def _reduction(name: str, **more: tuple[object, ...]) -> Space:
    feed = {"feed": _near_one} if name == "prod" else {}
    axes = AXES if name == "sum" else FEW_AXES
    return Space(f"keras.ops.{name}", {"axis": axes, "keepdims": BOTH, **more}, _shape, **feed)  # type: ignore[arg-type]


def _has_norm(a: Arguments) -> bool:
    """Of matrices and of vectors there are different norms, of more axes none; Keras cannot run an axis that is a
    number."""
    axes = 4 if a["axis"] is None else len(a["axis"])
    if axes == 1:
        return bool(a["ord"] != "fro")
    return a["ord"] is None if axes != 2 else a["ord"] in (None, "fro", 1, -1, math.inf, -math.inf)


SPACES = [
    *(_reduction(name) for name in ("mean", "sum", "amax", "amin", "prod", "var", "std", "logsumexp")),
    *(_reduction(name, initial=(None, 0.5, -2)) for name in ("max", "min")),
    *(Space(f"keras.ops.{name}", {"axis": (None, 0, -1), "keepdims": BOTH}, _shape) for name in ("argmax", "argmin")),
    Space("keras.ops.moments", {"axes": ([1, 2], [-1], (0, 1, 2, 3)), "keepdims": BOTH}, _shape),
    Space(
        "keras.ops.norm",
        {
            "ord": (None, "fro", 1, 2, 3, 0.5, -1, 0, math.inf, -math.inf),
            "axis": (None, (-1,), (1, 2), (3, 1)),
            "keepdims": BOTH,
        },
        _shape,
        suits=_has_norm,
    ),
]
