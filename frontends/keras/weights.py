"""Where a layer's variables come from: an HDF5 file of Keras 3, or its initializers; `arrays` has the other files."""

from __future__ import annotations

import math
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from convc.errors import ConvcError, ModelError
from convc.frontends.keras import hdf5
from convc.frontends.keras.config import show
from convc.frontends.keras.registry import Weight
from convc.ir import Array, Origin

DRAWN_LIMIT = 1 << 30
"""Most elements that are drawn for one model."""


class Weights(ABC):
    """A source of variables. `path` is the place of a layer in Keras's file: "layers/functional/layers/conv2d_1"."""

    @abstractmethod
    def read(self, path: str, wanted: Sequence[Weight]) -> list[Array]:
        """Values with the shapes of `wanted`, in order. Raises `ConvcError` with an empty subject."""

    def close(self) -> None:  # noqa: B027  there is nothing to close without a file
        """Closes the file, if there is one."""


@dataclass(frozen=True, eq=False)
class Place:
    """A layer with variables, as one looks for it in a file."""

    origin: Origin
    path: str
    names: tuple[str, ...]
    """Of the models that it is in, from the outside in, and its own."""
    config: Mapping[str, object]
    frozen: bool
    """It, or a model that it is in, is not trained."""
    wanted: tuple[Weight, ...]


class Planned(Weights):
    """A source that must know all layers with variables before it can tell where those of one are."""

    @abstractmethod
    def plan(self, places: Sequence[Place]) -> None:
        """Takes the layers in the order of Keras's `model.weights`. Raises `ConvcError` where the file has others."""


class Survey(Weights):
    """No source: it notes what is wanted, and has no values."""

    def __init__(self) -> None:
        self.wanted: dict[str, tuple[Weight, ...]] = {}

    def read(self, path: str, wanted: Sequence[Weight]) -> list[Array]:
        self.wanted[path] = tuple(wanted)
        return []


class Absent(Weights):
    """A config that comes without weights: whatever needs one is an error about the config as a whole."""

    def __init__(self, subject: str) -> None:
        self._error = ModelError(
            subject,
            "there are no weights",
            remedy="pass --weights FILE, or --weights random to draw them by their initializers",
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

    def __init__(self, file: Any) -> None:
        self._file = file

    def close(self) -> None:
        self._file.close()

    def read(self, path: str, wanted: Sequence[Weight]) -> list[Array]:
        owners: dict[str, list[Weight]] = {}
        for weight in wanted:
            owners.setdefault(f"{path}/{weight.path}" if weight.path else path, []).append(weight)
        try:
            values = {
                weight.name: value
                for place, weights in owners.items()
                for weight, value in zip(weights, self._values(place, weights), strict=True)
            }
            return [values[weight.name] for weight in wanted]
        except ConvcError:
            raise
        except Exception as error:  # HDF5 meets damage with errors of any class
            raise ModelError("", f"the weights at {path} are damaged", received=show(str(error))) from None

    def _values(self, path: str, wanted: Sequence[Weight]) -> list[Array]:
        """All variables of the layer at `path`."""
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
        return [hdf5.read_dataset(hdf5.child(group, str(index)), weight) for index, weight in enumerate(wanted)]

    def _variables(self, path: str) -> Any | None:
        """The group of a layer's variables. Keras 2.13 calls the containers of layers by another name."""
        for name in (path, path.replace("layers/", "_layer_checkpoint_dependencies/")):
            group = hdf5.descend(self._file, f"{name}/vars")
            if isinstance(group, h5py.Group):
                return group
        return None
