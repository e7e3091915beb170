"""Layers that do nothing at inference."""

from __future__ import annotations

from convc.ir import Shape
from tests.grid.space import CHANNELS, Arguments, Rng, Space, pick, spatial

RATES = (0.0, 0.5, 0.9)


def _plane(rank: int) -> Space:
    arguments: dict[str, tuple[object, ...]] = {"rate": RATES}
    if rank > 1:
        arguments["data_format"] = (None, "channels_last", "channels_first")
    return Space(f"SpatialDropout{rank}D", arguments, lambda rng, a: (*spatial(rng, rank), pick(rng, CHANNELS)))


def _image(rng: Rng, a: Arguments) -> Shape:
    return (*spatial(rng, 2), pick(rng, CHANNELS))


SPACES = [
    Space("ActivityRegularization", {"l1": (0.0, 0.1), "l2": (0.0, 0.1)}, _image),
    Space("AlphaDropout", {"rate": RATES, "noise_shape": (None, (1, 1, 1, 1))}, _image),
    Space("Dropout", {"rate": RATES, "noise_shape": (None, (None, 1, 1, None))}, _image),
    Space("GaussianDropout", {"rate": RATES}, _image),
    Space("GaussianNoise", {"stddev": RATES}, _image),
    Space("Identity", {}, _image),
    *(_plane(rank) for rank in (1, 2, 3)),
]
