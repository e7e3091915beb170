"""Resizing of images, as Keras computes it on jax: tables of weights, and the nodes that apply them.

Pixels have their centres at half-integers: output i is centred at (i + 0.5) * in / out - 0.5 of the input, and is the
mean of the inputs around it by a kernel's values. At the borders the weights that remain are scaled up to a sum of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

import numpy as np

from convc import ops
from convc.errors import ModelError, UnsupportedError
from convc.frontends.keras.config import FLOAT32_MAX, Fields, show
from convc.frontends.keras.window import channels_first, channels_last
from convc.frontends.tables import check_table, resample, trimmed
from convc.ir import Array, Node, Origin, make

METHODS: Final = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")

VANISHING: Final = 1000 * float(np.finfo(np.float32).eps)
"""Weights whose sum is not above it count as none."""


def triangle(x: Array) -> Array:
    """Linear interpolation, at the distance x >= 0."""
    return np.maximum(0.0, 1.0 - x)


def keys(x: Array) -> Array:
    """Keys' cubic with a = -0.5."""
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def lanczos(radius: int) -> Callable[[Array], Array]:
    """sinc(x) sinc(x / radius); it is 1 up to 0.001, as in Keras."""

    def kernel(x: Array) -> Array:
        value = np.where(x > 1e-3, np.sinc(x) * np.sinc(x / radius), 1.0)
        return np.where(x > radius, 0.0, value)

    return kernel


KERNELS: Final[dict[str, tuple[int, Callable[[Array], Array]]]] = {
    "bilinear": (1, triangle),
    "bicubic": (2, keys),
    "lanczos3": (3, lanczos(3)),
    "lanczos5": (5, lanczos(5)),
}
"""By method: how far a kernel reaches, and its value at a distance."""


@dataclass(frozen=True)
class Resize:
    """How images are brought to a size: height and width, and what Keras's arguments of the same names say."""

    size: tuple[int, int]
    interpolation: str = "bilinear"
    antialias: bool = False
    crop_to_aspect_ratio: bool = False
    pad_to_aspect_ratio: bool = False
    fill_value: float = 0.0

    @classmethod
    def parse(cls, fields: Fields, size: tuple[int, int]) -> Resize:
        """Reads everything but the size. Raises `ModelError` with an empty subject."""
        crop, pad = fields.flag("crop_to_aspect_ratio", False), fields.flag("pad_to_aspect_ratio", False)
        if crop and pad:
            received = "both"
            raise ModelError("", "it cannot crop and pad", expected="one of them at most", received=received)
        fields.choice("fill_mode", "constant", ("constant",))
        fill = fields.number("fill_value", 0.0)
        if abs(fill) > FLOAT32_MAX:
            raise ModelError("", "'fill_value' is wrong", expected="a float32 number", received=show(fill))
        method = fields.choice("interpolation", "bilinear", METHODS)
        return cls(size, method, fields.flag("antialias", False), crop, pad, fill)

    def apply(self, x: Node, channels_come_first: bool, origin: Origin) -> Node:
        """`x` of N, H, W, C, or N, C, H, W, in the new size."""
        check_images(x)
        if channels_come_first:
            return channels_first(self._apply(channels_last(x, origin), origin), origin)
        return self._apply(x, origin)

    def _apply(self, x: Node, origin: Origin) -> Node:
        if self.crop_to_aspect_ratio:
            x = crop_to_ratio(x, self.size, origin)
        if self.pad_to_aspect_ratio:
            x = _pad_to_ratio(x, self.size, self.fill_value, origin)
        if self.interpolation == "nearest":
            tables = {axis: nearest(x.type.shape[axis], out) for axis, out in enumerate(self.size, 1)}
            return resample(x, {axis: (indices, None) for axis, indices in tables.items()}, origin)
        weighted = {
            axis: weights(x.type.shape[axis], out, self.interpolation, antialias=self.antialias)
            for axis, out in enumerate(self.size, 1)
        }
        return resample(x, weighted, origin)


def check_images(x: Node) -> None:
    """Raises `UnsupportedError` with an empty subject where `x` is no batch of images."""
    if x.type.rank != 4:
        raise UnsupportedError(
            "",
            "the input is no batch of images",
            expected="4 axes: with 3, the batch would be taken for a height or for channels",
            received=str(x.type.shape),
        )


def nearest(extent: int, out: int) -> Array:
    """Indices of (out, 1): the element that each centre lies in.

    Centres are rounded as jax rounds them, which divides by multiplying with the inverse: one that lies exactly between
    two elements may fall to the one before.
    """
    check_table(out, extent)
    factor = np.float32(extent) * (np.float32(1) / np.float32(out))
    centres = (np.arange(out, dtype=np.float32) + np.float32(0.5)) * factor
    indices = np.arange(out) if extent == out else np.floor(centres)
    return np.minimum(indices, extent - 1).astype(np.int32)[:, None]


def weights(extent: int, out: int, method: str, *, antialias: bool) -> tuple[Array, Array]:
    """Indices and weights of (out, taps) for `extent` elements; without the zeros around them.

    `antialias` stretches the kernel where the result is smaller. The scale and the centres are rounded to float32, once
    each, as jax rounds them: 200 pixels from the border that moves a centre by 1e-5 of a pixel.
    """
    if extent == out:
        check_table(out, extent)
        return np.arange(out, dtype=np.int32)[:, None], np.ones((out, 1), np.float32)
    radius, kernel = KERNELS[method]
    inverse = float(np.float32(1 / (out / extent)))
    stretch = max(inverse, 1.0) if antialias else 1.0
    width = min(extent, 2 * ceil(radius * stretch) + 2)
    check_table(out * width, extent)
    centres = ((np.arange(out) + 0.5) * inverse - 0.5).astype(np.float32).astype(np.float64)
    first = np.clip(np.floor(centres - radius * stretch), 0, extent - width).astype(np.int64)
    positions = first[:, None] + np.arange(width)
    values = kernel(np.abs(centres[:, None] - positions) / stretch)
    total = values.sum(axis=1, keepdims=True)
    values = np.where(np.abs(total) > VANISHING, values / np.where(total == 0, 1.0, total), 0.0)
    return trimmed(first, values, extent)


def crop_to_ratio(x: Node, size: tuple[int, int], origin: Origin) -> Node:
    """The largest window in the middle of `x` (N, H, W, C) that has the aspect ratio of `size`, in Keras's rounding."""
    _, *extents, _ = x.type.shape
    for axis, extent, wanted in zip((1, 2), extents, _ratio(extents, size), strict=True):
        kept = max(min(extent, wanted), 1)
        if kept < extent:
            start = (extent - kept) // 2
            x = make(ops.Slice.along(x.type.shape, axis, start, kept), x, origin=origin)
    return x


def _pad_to_ratio(x: Node, size: tuple[int, int], value: float, origin: Origin) -> Node:
    """`value` on both sides of `x`, as much on one as on the other, so that it has nearly the aspect ratio of `size`.

    Where rounding makes both axes too short, Keras extends the height alone.
    """
    _, *extents, _ = x.type.shape
    for axis, extent, wanted in zip((1, 2), extents, _ratio(extents, size), strict=True):
        width = (max(extent, wanted) - extent) // 2
        if width > 0:
            widths = [(0, 0)] * 4
            widths[axis] = (width, width)
            return make(ops.Pad(tuple(widths), value), x, origin=origin)
    return x


def _ratio(extents: Sequence[int], size: tuple[int, int]) -> tuple[int, int]:
    """The height that goes with the width, and the width that goes with the height, rounded down."""
    (height, width), (to_height, to_width) = extents, size
    return int(float(width * to_height) / to_width), int(float(height * to_width) / to_height)
