"""Pooling over windows and over whole planes, adaptive pooling, and padding with zeros."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.grid.conv import FORMATS
from tests.grid.space import CHANNELS, SIZES, Arguments, Rng, Space, each, ordered, pick, spatial

KINDS = ("Max", "Average")


def _windows(rank: int) -> tuple[Any, ...]:
    return (1, 2, 3, ((2,), (2, 3), (1, 2, 3))[rank - 1], ([3], [3, 1], [2, 1, 2])[rank - 1])


def _input(rng: Rng, a: Arguments, rank: int) -> tuple[int, ...]:
    """An input that the window fits into, whatever is asked of the border."""
    least = 1 if a["padding"] == "same" else max(each(a["pool_size"], rank))
    return ordered(a, spatial(rng, rank, least), pick(rng, CHANNELS))


def _pool(kind: str, rank: int) -> Space:
    arguments = {
        "pool_size": _windows(rank),
        "strides": (None, *_windows(rank)),
        "padding": ("valid", "same"),
        "data_format": FORMATS,
    }
    return Space(f"{kind}Pooling{rank}D", arguments, lambda rng, a: _input(rng, a, rank))


def _pool_function(kind: str) -> Space:
    """On images. Keras's own function fails on jax without strides, and for lists."""
    sizes = (1, 2, 3, (2, 3), (3, 1))
    arguments = {
        "pool_size": sizes,
        "strides": sizes,
        "padding": ("valid", "same", "SAME"),
        "data_format": FORMATS,
    }

    def shape(rng: Rng, a: Arguments) -> tuple[int, ...]:
        return _input(rng, {**a, "padding": a["padding"].lower()}, 2)

    return Space(f"keras.ops.{kind.lower()}_pool", arguments, shape)


def _whole(kind: str, rank: int) -> Space:
    return Space(
        f"Global{kind}Pooling{rank}D",
        {"data_format": FORMATS, "keepdims": (False, True)},
        lambda rng, a: ordered(a, spatial(rng, rank), pick(rng, CHANNELS)),
    )


def is_rounded_well(extent: int, out: int) -> bool:
    """Whether Keras on jax finds the windows that it defines: it divides by multiplying with the inverse of `out`."""
    inverse = np.float32(1) / np.float32(out)
    bounds = np.arange(out + 1) * extent
    quotients = bounds.astype(np.float32) * inverse
    return bool(
        (np.floor(quotients[:-1]) == bounds[:-1] // out).all()
        and (np.ceil(quotients[1:]) == -(-bounds[1:] // out)).all()
    )


def _adaptive(name: str, rank: int, sizes: tuple[Any, ...]) -> Space:
    def shape(rng: Rng, a: Arguments) -> tuple[int, ...]:
        outs = each(a["output_size"], rank)
        fitting = [[extent for extent in SIZES if is_rounded_well(extent, out)] for out in outs]
        return ordered(a, tuple(pick(rng, extents) for extents in fitting), pick(rng, CHANNELS))

    return Space(name, {"output_size": sizes, "data_format": FORMATS}, shape)


def _padding(rank: int) -> Space:
    forms: tuple[Any, ...] = (
        (0, 1, 3, (1, 2), [2, 0]),
        (0, 2, (1, 2), [3, 1], ((1, 2), (0, 3)), [[1, 0], [2, 1]], (1, (2, 0))),
        (0, 1, (1, 2, 0), [1, 0, 2], ((1, 2), (0, 1), (2, 0)), [[1, 0], [0, 0], [0, 2]], (1, (0, 2), 2)),
    )[rank - 1]
    return Space(
        f"ZeroPadding{rank}D",
        {"padding": forms, "data_format": FORMATS},
        lambda rng, a: ordered(a, spatial(rng, rank, most=7), pick(rng, CHANNELS)),
    )


_ADAPTIVE: dict[int, tuple[Any, ...]] = {
    1: (1, 2, 3, 4, (5,), [2]),
    2: (1, 2, 3, (2, 3), [4, 1], (5, 6)),
    3: (1, 2, (1, 2, 3), [3, 1, 2], (4, 2, 3)),
}

SPACES = [
    *(_pool(kind, rank) for kind in KINDS for rank in (1, 2, 3)),
    *(_pool_function(kind) for kind in KINDS),
    *(_whole(kind, rank) for kind in KINDS for rank in (1, 2, 3)),
    *(_adaptive(f"Adaptive{kind}Pooling{rank}D", rank, _ADAPTIVE[rank]) for kind in KINDS for rank in (1, 2, 3)),
    *(_adaptive(f"keras.ops.adaptive_{kind.lower()}_pool", 2, ((2, 3), (1, 4), (3, 3))) for kind in KINDS),
    *(_padding(rank) for rank in (1, 2, 3)),
]
