"""Where a layer's variables come from: an HDF5 file, or its initializers."""

from __future__ import annotations

import io
import math
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np

from convc.errors import ConvcError, ModelError
from convc.frontends.keras.config import show
from convc.frontends.keras.registry import Weight
from convc.ir import Array

EXPANSION_LIMIT = 1000
"""A dataset above `EXPANSION_FLOOR` may be at most this many times its stored size, as in Keras's own reader."""
EXPANSION_FLOOR = 1 << 20
DRAWN_LIMIT = 1 << 30
"""Most elements that are drawn for one model."""


class Weights(ABC):
    """A source of variables. `path` is the place of a layer in Keras's file: "layers/functional/layers/conv2d_1"."""

    @abstractmethod
    def read(self, path: str, wanted: Sequence[Weight]) -> list[Array]:
        """Values with the shapes of `wanted`, in order. Raises `ConvcError` with an empty subject."""


class Absent(Weights):
    """A config that comes without weights: whatever needs one is an error about the config as a whole."""

    def __init__(self, subject: str) -> None:
        self._error = ModelError(
            subject, "there are no weights", remedy="pass --weights random to draw them by their initializers"
        )

    def read(self, path: str, wanted: Sequence[Weight]) -> list[Array]:
        raise self._error


class Drawn(Weights):
    """Variables drawn by their initializers. Values depend on the seed, the layer's path and the weight's name only."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._left = DRAWN_LIMIT

    @classmethod
    def parse(cls, option: str) -> Drawn:
        """Reads "random" or "random:SEED". Raises `ModelError`."""
        match = re.fullmatch(r"random(?::([0-9]{1,18}))?", option)
        if match is None:
            raise ModelError(f"weights={option[:100]!r}", "not understood", expected="random or random:SEED")
        return cls(int(match[1] or 0))

    def read(self, path: str, wanted: Sequence[Weight]) -> list[Array]:
        values = []
        for weight in wanted:
            elements = math.prod(weight.shape)
            if elements > self._left:
                raise ModelError(
                    "",
                    f"weight '{weight.name}' is too large to be drawn",
                    expected=f"at most {DRAWN_LIMIT} elements in the model",
                    received=str(weight.shape),
                )
            self._left -= elements
            rng = np.random.default_rng([self._seed, zlib.crc32(f"{path}/{weight.name}".encode())])
            values.append(weight.initializer.draw(rng, weight.shape))
        return values


class Stored(Weights):
    """The variables of a Keras 3 weights file, where layer `path` has the group "<path>/vars" of "0", "1", …"""

    def __init__(self, data: bytes, subject: str) -> None:
        try:
            self._file: Any = h5py.File(io.BytesIO(data), "r")
        except Exception as error:  # HDF5 meets damage with errors of any class
            message = "the weights are truncated or damaged"
            raise ModelError(subject, message, received=show(str(error))) from None

    def read(self, path: str, wanted: Sequence[Weight]) -> list[Array]:
        try:
            group = self._variables(path)
            count = 0 if group is None else len(group)
            if group is None or count < len(wanted):
                missing = wanted[count]
                raise ModelError(
                    "", f"weight '{missing.name}' is missing", expected=f"{missing.shape} at {path}/vars/{count}"
                )
            if count > len(wanted):
                names = ", ".join(weight.name for weight in wanted)
                raise ModelError(
                    "", "there are more weights than the layer has", expected=names, received=f"{count} at {path}/vars"
                )
            return [_dataset(_child(group, str(index)), weight) for index, weight in enumerate(wanted)]
        except ConvcError:
            raise
        except Exception as error:  # HDF5 meets damage with errors of any class
            raise ModelError("", f"the weights at {path} are damaged", received=show(str(error))) from None

    def _variables(self, path: str) -> Any | None:
        """The group of a layer's variables. Keras 2.13 calls the containers of layers by another name."""
        for name in (path, path.replace("layers/", "_layer_checkpoint_dependencies/")):
            group = self._file
            for part in (*name.split("/"), "vars"):
                group = _child(group, part) if isinstance(group, h5py.Group) and part in group else None
            if isinstance(group, h5py.Group):
                return group
        return None


def _child(group: Any, name: str) -> Any:
    """A member that lies in this file: soft and external links are refused, they can name any file."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise ModelError("", "the weights hold a link", expected="data", received=f"a link at {group.name}/{name}")
    return group[name]


def _dataset(dataset: Any, weight: Weight) -> Array:
    """The values, where they have the wanted shape and are stored in the file in proportion to it."""
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        raise ModelError("", f"weight '{weight.name}' is not stored in the file")
    if dataset.shape != weight.shape:
        raise ModelError(
            "",
            f"weight '{weight.name}' has the wrong shape",
            expected=str(weight.shape),
            received=str(dataset.shape),
        )
    stored = dataset.id.get_storage_size()
    if dataset.nbytes > max(EXPANSION_FLOOR, EXPANSION_LIMIT * stored):
        raise ModelError(
            "",
            f"weight '{weight.name}' expands too far",
            expected=f"at most {EXPANSION_LIMIT} times the {stored} bytes stored",
            received=f"{dataset.nbytes} bytes",
        )
    if dataset.attrs.get("dtype") == "bfloat16" and dataset.dtype.itemsize == 2:
        return _from_bfloat16(dataset[()])
    if dataset.dtype.kind != ("i" if weight.integer else "f"):
        expected = "an integer" if weight.integer else "floating point"
        raise ModelError(
            "", f"weight '{weight.name}' has the wrong type", expected=expected, received=str(dataset.dtype)
        )
    values: Array = dataset[()]
    return values


def _from_bfloat16(values: Array) -> Array:
    """float32 from the upper halves of its bit patterns."""
    return (values.view("<u2").astype(np.uint32) << 16).view(np.float32)
