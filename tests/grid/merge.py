"""Layers that merge tensors, and Rescaling."""

from __future__ import annotations

from typing import Any

from convc.ir import Shape
from tests.grid.space import CHANNELS, SIZES, Arguments, Rng, Space, pick, spatial


def _broadcasting(rng: Rng, count: int) -> list[Shape]:
    """Shapes of one rank or of several, with sizes of one in places."""
    rank = int(rng.integers(1, 4))
    full = (*spatial(rng, rank - 1), pick(rng, CHANNELS))
    shapes: list[Shape] = [full]
    for _ in range(count - 1):
        start = int(rng.integers(rank + 1)) if rng.random() < 0.4 else 0
        shapes.append(tuple(1 if rng.random() < 0.3 else extent for extent in full[start:]))
    return [shapes[int(place)] for place in rng.permutation(count)]


def _merge(name: str, counts: tuple[int, ...]) -> Space:
    """The number of inputs is no argument of the layer, so it is drawn with the shapes."""
    return Space(
        name, {}, lambda rng, a: _broadcasting(rng, pick(rng, counts)), apply=lambda made, inputs: made(inputs)
    )


def _side_by_side(rng: Rng, a: Arguments) -> list[Shape]:
    """Shapes that differ along the axis alone, which counts the batch."""
    full = [*spatial(rng, 2), pick(rng, CHANNELS)]
    place = a["axis"] % 4 - 1
    shapes: list[Any] = []
    for _ in range(pick(rng, (1, 2, 3, 5))):
        shape = list(full)
        if place >= 0:
            shape[place] = pick(rng, SIZES)
        shapes.append(tuple(shape))
    return shapes


SPACES = [
    *(_merge(name, (1, 2, 3, 5)) for name in ("Add", "Average", "Maximum", "Minimum", "Multiply")),
    _merge("Subtract", (2,)),
    Space(
        "Concatenate",
        {"axis": (-1, 0, 1, 2, 3, -2, -3, -4)},
        _side_by_side,
        apply=lambda made, inputs: made(inputs),
    ),
    Space(
        "Rescaling",
        {
            "scale": (1.0, 2, 1 / 127.5, [0.1, 2.0, -3.0], (1.0, 2.0, 3.0)),
            "offset": (0.0, -1, 0.5, [1.0, 2.0, 3.0]),
        },
        lambda rng, a: (*spatial(rng, 2), 3),
    ),
]
