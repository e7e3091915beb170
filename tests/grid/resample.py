"""What repeats elements, resizes images and crops them."""

from __future__ import annotations

from typing import Any

from tests.grid.conv import FORMATS
from tests.grid.space import CHANNELS, Arguments, Rng, Space, ordered, pick, spatial

METHODS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
LENGTHS = (1, 2, 3, 5, 8, 13)
"""Heights and widths that images are brought to."""


def _images(rng: Rng, a: Arguments) -> tuple[int, ...]:
    return ordered(a, spatial(rng, 2), pick(rng, CHANNELS))


def _upsampling(rank: int) -> Space:
    arguments: dict[str, tuple[Any, ...]] = {
        "size": ((1, 2, 3), (1, 2, 3, (2, 3), [1, 4]), (1, 2, (2, 1, 3), [1, 3, 2]))[rank - 1]
    }
    if rank > 1:
        arguments["data_format"] = FORMATS
    if rank == 2:
        arguments["interpolation"] = (*METHODS, "Bilinear")
    return Space(
        f"UpSampling{rank}D", arguments, lambda rng, a: ordered(a, spatial(rng, rank, most=7), pick(rng, CHANNELS))
    )


_RATIO: dict[str, tuple[Any, ...]] = {
    "interpolation": METHODS,
    "crop_to_aspect_ratio": (False, True),
    "pad_to_aspect_ratio": (False, True),
    "fill_mode": ("constant",),
    "fill_value": (0.0, -1.5, 3),
    "antialias": (False, True),
    "data_format": FORMATS,
}


def _no_contradiction(a: Arguments) -> bool:
    return not (a["crop_to_aspect_ratio"] and a["pad_to_aspect_ratio"])


def _two_of_three(low: str, high: str, target: str) -> dict[str, tuple[Any, ...]]:
    return {low: (None, 0, 1, 2), high: (None, 0, 1), target: (None, 4, 6)}


def _is_complete(a: Arguments) -> bool:
    """For each axis two of the three."""
    sides = (("top", "bottom", "height"), ("left", "right", "width"))
    kind = "padding" if "top_padding" in a else "cropping"
    return all([a[f"{s[0]}_{kind}"], a[f"{s[1]}_{kind}"], a[f"target_{s[2]}"]].count(None) == 1 for s in sides)


def _around(kind: str, extents: tuple[int, ...]) -> Space:
    """Images that are large enough to crop, or small enough to pad, to every target."""
    arguments = {
        **_two_of_three(f"top_{kind}", f"bottom_{kind}", "target_height"),
        **_two_of_three(f"left_{kind}", f"right_{kind}", "target_width"),
        "data_format": FORMATS,
    }

    def shape(rng: Rng, a: Arguments) -> tuple[int, ...]:
        return ordered(a, (pick(rng, extents), pick(rng, extents)), pick(rng, CHANNELS))

    return Space(
        f"keras.ops.image.{'pad' if kind == 'padding' else 'crop'}_images", arguments, shape, suits=_is_complete
    )


SPACES = [
    *(_upsampling(rank) for rank in (1, 2, 3)),
    Space("Resizing", {"height": LENGTHS, "width": LENGTHS, **_RATIO}, _images, suits=_no_contradiction),
    Space("CenterCrop", {"height": LENGTHS, "width": LENGTHS, "data_format": FORMATS}, _images),
    Space(
        "keras.ops.image.resize",
        {"size": ((4, 9), [8, 3], (1, 1), (7, 7)), **_RATIO},
        _images,
        suits=_no_contradiction,
    ),
    _around("padding", (1, 2)),
    _around("cropping", (8, 9, 11)),
]
