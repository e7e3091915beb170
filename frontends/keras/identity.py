"""Layers that do nothing at inference: regularisation, noise and augmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from convc.errors import ShapeError, UnsupportedError
from convc.frontends.keras.config import Fields
from convc.frontends.keras.registry import Layer, register
from convc.ir import Node, Origin

AUGMENTATIONS = (
    "AugMix", "CutMix", "MixUp", "RandAugment", "RandomBrightness", "RandomColorDegeneration", "RandomColorJitter",
    "RandomContrast", "RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomGaussianBlur", "RandomGrayscale",
    "RandomHeight", "RandomHue", "RandomInvert", "RandomPerspective", "RandomPosterization", "RandomRotation",
    "RandomSaturation", "RandomSharpness", "RandomShear", "RandomTranslation", "RandomWidth", "RandomZoom",
    "Solarization", "RandomCrop",
)  # fmt: skip
"""Layers that change images in training only."""


@dataclass(frozen=True)
class Identity(Layer):
    """The input as it is. No node is made."""

    integers: ClassVar[bool] = True

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        return inputs[0]


@dataclass(frozen=True)
class Augmentation(Layer):
    """Images of N, H, W, C in any axis order, or without the batch, as they are: augmentation is for training."""

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        (x,) = inputs
        if x.type.rank not in (3, 4):
            raise ShapeError("", "the input is no image", expected="3 or 4 axes", received=str(x.type.shape))
        return x


@dataclass(frozen=True)
class RandomCrop(Augmentation):
    """Nothing to do where images have the size already. Keras does nothing elsewhere, but declares another shape."""

    size: tuple[int, int]
    channels_first: bool

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        x = super().build(inputs, weights, origin)
        shape = x.type.shape
        if (shape[-2:] if self.channels_first else shape[-3:-1]) != self.size:
            raise UnsupportedError(
                "",
                "it crops in training, and not at inference",
                expected=f"images of {self.size}",
                received=str(shape),
                remedy="replace it by CenterCrop or Resizing, which say what to do at inference",
            )
        return x


def _random_crop(fields: Fields) -> Layer:
    return RandomCrop((fields.integer("height"), fields.integer("width")), fields.channels_first())


for _name in (
    "ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "Identity",
    "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D",
):  # fmt: skip
    register(_name, lambda fields: Identity(), "nothing to do at inference")
for _name in AUGMENTATIONS[:-1]:
    register(_name, lambda fields: Augmentation(), "nothing to do at inference")
register("RandomCrop", _random_crop, "where images have the size already")
