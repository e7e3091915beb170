"""Layers that bring images to a size, and functions of keras.ops.image: resize, crop_images, pad_images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from convc import ops
from convc.errors import ModelError, ShapeError
from convc.frontends.keras.config import Fields
from convc.frontends.keras.operator import Arguments, register_function
from convc.frontends.keras.registry import Layer, register
from convc.frontends.keras.resample import Resize, check_images, crop_to_ratio
from convc.frontends.keras.window import channels_first, channels_last
from convc.ir import Node, Origin, make


@dataclass(frozen=True)
class Resizing(Layer):
    """Images in another size."""

    resize: Resize
    channels_first: bool

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        return self.resize.apply(inputs[0], self.channels_first, origin)


@dataclass(frozen=True)
class CenterCrop(Layer):
    """The middle of each image; images that are too small are resized, bilinearly, by a crop of the same ratio."""

    size: tuple[int, int]
    channels_first: bool

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        (x,) = inputs
        check_images(x)
        if self.channels_first:
            return channels_first(self._crop(channels_last(x, origin), origin), origin)
        return self._crop(x, origin)

    def _crop(self, x: Node, origin: Origin) -> Node:
        extents = x.type.shape[1:-1]
        if any(wanted > extent for wanted, extent in zip(self.size, extents, strict=True)):
            return Resize(self.size).apply(crop_to_ratio(x, self.size, origin), False, origin)
        starts = [(extent - wanted) // 2 for wanted, extent in zip(self.size, extents, strict=True)]
        return _cut(x, starts, self.size, 1, origin)


@dataclass(frozen=True)
class Border:
    """What an axis of an image gains or loses: the number of elements before it and behind it, or the final size.

    Two of them say it all; the third follows.
    """

    low: int | None
    high: int | None
    target: int | None

    @classmethod
    def parse(cls, fields: Fields, low: str, high: str, target: str, axis: str) -> Border:
        """Raises `ModelError` with an empty subject unless exactly two are there."""
        values = [
            None if fields.raw(name) is None else fields.integer(name, minimum=minimum)
            for name, minimum in ((low, 0), (high, 0), (target, 1))
        ]
        if values.count(None) != 1:
            given = [name for name, value in zip((low, high, target), values, strict=True) if value is not None]
            expected = f"two of {low}, {high} and {target}"
            raise ModelError("", f"the {axis} is wrong", expected=expected, received=" and ".join(given) or "none")
        return cls(*values)

    def around(self, change: int) -> tuple[int, int]:
        """The numbers of elements before and behind. `change` is the target's difference to the extent.

        Raises `ShapeError` with an empty subject where one is negative.
        """
        low = change - self.high if self.low is None and self.high is not None else self.low or 0
        high = change - low if self.high is None else self.high
        if min(low, high) < 0:
            raise ShapeError("", "the size does not fit the image", received=f"{low} elements before, {high} behind")
        return low, high


def _borders(call: Arguments, kind: str) -> tuple[Node, int, tuple[Border, Border]]:
    """The images, their first spatial axis, and what becomes of the two."""
    x, fields = call.tensor("images"), call.fields
    check_images(x)
    rows = Border.parse(fields, f"top_{kind}", f"bottom_{kind}", "target_height", "height")
    columns = Border.parse(fields, f"left_{kind}", f"right_{kind}", "target_width", "width")
    return x, 2 if fields.channels_first() else 1, (rows, columns)


def _pad_images(call: Arguments) -> Node:
    x, first, borders = _borders(call, "padding")
    widths = [(0, 0)] * 4
    for axis, border in enumerate(borders, first):
        widths[axis] = border.around((border.target or 0) - x.type.shape[axis])
    return make(ops.Pad(tuple(widths)), x, origin=call.origin)


def _crop_images(call: Arguments) -> Node:
    x, first, borders = _borders(call, "cropping")
    extents = x.type.shape[first : first + 2]
    around = [border.around(extent - (border.target or 0)) for border, extent in zip(borders, extents, strict=True)]
    sizes = [extent - low - high for extent, (low, high) in zip(extents, around, strict=True)]
    if min(sizes) < 1:
        raise ShapeError("", "nothing is left of the image", received=f"{around} cropped from {extents}")
    return _cut(x, [low for low, _ in around], sizes, first, call.origin)


def _cut(x: Node, starts: Sequence[int], sizes: Sequence[int], first: int, origin: Origin) -> Node:
    """The window of both spatial axes, the first of which is `first`."""
    begin, extents = [0] * x.type.rank, list(x.type.shape)
    begin[first : first + 2], extents[first : first + 2] = starts, sizes
    if tuple(extents) == x.type.shape:
        return x
    return make(ops.Slice(tuple(begin), tuple(extents), (1,) * x.type.rank), x, origin=origin)


def _resize(call: Arguments) -> Node:
    height, width = call.fields.integers("size", 2)
    resize = Resize.parse(call.fields, (height, width))
    return resize.apply(call.tensor("images"), call.fields.channels_first(), call.origin)


def _resizing(fields: Fields) -> Layer:
    resize = Resize.parse(fields, (fields.integer("height"), fields.integer("width")))
    return Resizing(resize, fields.channels_first())


def _center_crop(fields: Fields) -> Layer:
    return CenterCrop((fields.integer("height"), fields.integer("width")), fields.channels_first())


register("Resizing", _resizing, "batches of images; pad_to_aspect_ratio fills with a constant, as in Keras")
register("CenterCrop", _center_crop, "batches of images; smaller ones are resized, as in Keras")
register_function("image.resize", "images", _resize, "batches of images, every argument")
register_function("image.pad_images", "images", _pad_images, "batches of images")
register_function("image.crop_images", "images", _crop_images, "batches of images")
