"""Weights as lists and dicts of arrays: HDF5 files of Keras 1 and 2, which Keras 3 writes too, and .npz files."""

from __future__ import annotations

import io
import re
import zipfile
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convc.errors import ConvcError, ModelError, merge
from convc.frontends.keras import hdf5
from convc.frontends.keras.attributes import Attributes
from convc.frontends.keras.config import show
from convc.frontends.keras.kernels import Writer, converted, stored_counts
from convc.frontends.keras.registry import Weight
from convc.frontends.keras.weights import Place, Planned
from convc.frontends.keras.zips import member
from convc.ir import Array

STATISTICS = ("moving_mean", "moving_variance", "mean", "variance", "count", "vector_u", "moving_stddev", "renorm_mean",
              "renorm_stddev")  # fmt: skip
"""Names of the variables that no training changes by gradients; Keras's HDF5 files have them behind the others."""


@dataclass(frozen=True, eq=False)
class Found:
    """Where a weight is in a file: its name there, and what reads it."""

    name: str
    read: Callable[[Weight], Array]


class Matched(Planned):
    """Sources that are matched with the layers once, and read when a layer is."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self._values: dict[str, Callable[[], list[Array]]] = {}

    def plan(self, places: Sequence[Place]) -> None:
        """Fills in what reads the values of each path."""
        try:
            self._values.update(self.match(places))
        except ConvcError as error:
            raise error.about(self.subject) from None
        except Exception as error:  # zip and HDF5 meet damage with errors of any class
            raise self._damaged(error) from None

    @abstractmethod
    def match(self, places: Sequence[Place]) -> Iterator[tuple[str, Callable[[], list[Array]]]]:
        """(path, what reads its values) for every place. Raises `ModelError` where the file has other layers."""

    def read(self, path: str, wanted: Sequence[Weight]) -> list[Array]:
        try:
            return self._values[path]()
        except ConvcError:
            raise
        except Exception as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> ModelError:
        return ModelError(self.subject, "the weights are truncated or damaged", received=show(str(error)))


class Grouped(Matched):
    """The HDF5 layout of Keras 1 and 2: a group for each layer of the outermost model, with its variables in order.

    Variables of models inside lie flat in the group of the outermost one; what is trained comes first.
    """

    def __init__(self, group: Any, attributes: Attributes, subject: str) -> None:
        super().__init__(subject)
        self._group = group
        self._writer = Writer.of(attributes.weights_version, attributes.backend)
        self._layers = {
            name: [(name, own) for own in weights] for name, weights in attributes.layers.items() if weights
        }

    def close(self) -> None:
        self._group.file.close()

    def match(self, places: Sequence[Place]) -> Iterator[tuple[str, Callable[[], list[Array]]]]:
        groups: dict[str, list[Place]] = {}
        for place in places:
            groups.setdefault(place.names[0], []).append(place)
        if set(groups) == set(self._layers):
            stored = [self._layers[name] for name in groups]
        elif len(groups) == len(self._layers):  # Keras numbers the names of layers anew in each session
            stored = list(self._layers.values())
        else:
            raise other_layers(self.subject, groups, self._layers)
        problems: list[ConvcError] = []
        for inside, variables in zip(groups.values(), stored, strict=True):
            try:
                yield from self._match_group(inside, variables)
            except ConvcError as error:
                problems.append(error)
        if problems:
            raise merge(problems)

    def _match_group(
        self, places: Sequence[Place], variables: Sequence[tuple[str, str]]
    ) -> Iterator[tuple[str, Callable[[], list[Array]]]]:
        """The variables of one layer of the outermost model, which may be a model with several places."""
        counts = stored_counts(places, len(variables), self._writer)
        if counts is None:
            names = ", ".join(weight.name for place in places for weight in place.wanted)
            subject = str(places[0].origin) if len(places) == 1 else f"model '{places[0].names[0]}'"
            message = "the file has another number of weights for it"
            expected = f"{sum(len(place.wanted) for place in places)} ({names})"
            raise ModelError(subject, message, expected=expected[:300], received=str(len(variables)))
        slots = [(place, index) for place, count in zip(places, counts, strict=True) for index in range(count)]
        slots.sort(key=lambda slot: _untrained(*slot))
        found: dict[str, dict[int, tuple[str, str]]] = {}
        for (place, index), variable in zip(slots, variables, strict=True):
            found.setdefault(place.path, {})[index] = variable
        for place in places:
            own = found[place.path]
            yield place.path, self._reader(place, [own[index] for index in range(len(own))])

    def _reader(self, place: Place, variables: Sequence[tuple[str, str]]) -> Callable[[], list[Array]]:
        def read() -> list[Array]:
            datasets = [hdf5.descend(self._group, f"{layer}/{name}") for layer, name in variables]
            return converted(place, datasets, self._writer)

        return read


class Zipped(Matched):
    """A .npz file: "arr_0", "arr_1", … in the order of Keras's `model.weights`, or arrays named "layer/weight"."""

    def __init__(self, archive: zipfile.ZipFile, subject: str) -> None:
        super().__init__(subject)
        self._archive = archive
        self._names = [name.removesuffix(".npy") for name in archive.namelist()]

    def close(self) -> None:
        self._archive.close()

    def match(self, places: Sequence[Place]) -> Iterator[tuple[str, Callable[[], list[Array]]]]:
        flat = all(re.fullmatch(r"arr_\d{1,9}", name) for name in self._names)
        return self._in_order(places) if flat else self._by_name(places)

    def _in_order(self, places: Sequence[Place]) -> Iterator[tuple[str, Callable[[], list[Array]]]]:
        names = sorted(self._names, key=lambda name: int(name[4:]))
        slots = [(place, weight) for place in places for weight in place.wanted]
        if len(names) != len(slots):
            misfit = (
                f"; the first that does not fit is {name} of shape {shape}, for '{weight.name}' of {place.origin}"
                for (place, weight), name in zip(slots, names, strict=False)
                if (shape := self._header(name)[0]) != weight.shape
            )
            received = f"{len(names)} arrays{next(misfit, '')}"
            expected = f"the {len(slots)} weights of the model in their order"
            raise ModelError(self.subject, "not the weights of this model", expected=expected, received=received)
        rest = iter(names)
        for place in places:
            yield place.path, self._reader(place, [next(rest) for _ in place.wanted])

    def _by_name(self, places: Sequence[Place]) -> Iterator[tuple[str, Callable[[], list[Array]]]]:
        plain = {name.removesuffix(":0"): name for name in self._names}
        last = [place.names[-1] for place in places]
        left = dict(plain)
        problems: list[ConvcError] = []
        for place in places:
            prefixes = ["/".join(place.names), *([place.names[-1]] if last.count(place.names[-1]) == 1 else [])]
            chosen = next((p for p in prefixes if any(name.startswith(f"{p}/") for name in left)), prefixes[0])
            own = {name[len(chosen) + 1 :]: name for name in plain if name.startswith(f"{chosen}/")}
            if len(own) == len(place.wanted):  # what the place does not call as Keras does is taken in order
                rest = [name for name in own if name not in {weight.name for weight in place.wanted}]
                own = {weight.name: own[weight.name if weight.name in own else rest.pop(0)] for weight in place.wanted}
            if missing := [weight.name for weight in place.wanted if weight.name not in own]:
                expected = ", ".join(f"'{chosen}/{name}'" for name in missing)
                message = f"the file has no weight '{missing[0]}'"
                problems.append(ModelError(str(place.origin), message, expected=expected[:300]))
                for name in own.values():
                    left.pop(name, None)
                continue
            for weight in place.wanted:
                left.pop(own[weight.name], None)
            yield place.path, self._reader(place, [plain[own[weight.name]] for weight in place.wanted])
        if left:
            expected = ", ".join("/".join(place.names) for place in places)
            message = "the file has weights that no layer of the model has"
            received = ", ".join(map(repr, sorted(left)))
            problems.append(ModelError(self.subject, message, expected=expected[:300], received=received[:300]))
        if problems:
            raise merge(problems)

    def _reader(self, place: Place, names: Sequence[str]) -> Callable[[], list[Array]]:
        def read() -> list[Array]:
            return [self._array(name, weight) for name, weight in zip(names, place.wanted, strict=True)]

        return read

    def _array(self, name: str, weight: Weight) -> Array:
        shape, fortran, dtype, _ = self._header(name)
        if shape != weight.shape:
            raise hdf5.wrong_shape(weight, shape)
        if dtype.kind not in ("iu" if weight.integer else "f"):
            raise hdf5.wrong_type(weight, dtype)
        data = member(self._archive, self.subject, f"{name}.npy", None)
        *_, start = self._header(name)
        count = int(np.prod(shape, dtype=np.int64))
        values = np.frombuffer(data, dtype, count, start)
        return values.reshape(shape, order="F" if fortran else "C")

    def _header(self, name: str) -> tuple[tuple[int, ...], bool, Any, int]:
        """Shape, order, dtype and length of the header of an array. Pickled objects are never read."""
        with self._archive.open(f"{name}.npy") as file:
            head = io.BytesIO(file.read(1 << 16))
        try:
            version = np.lib.format.read_magic(head)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(head)
        except ValueError as error:
            raise ModelError(self.subject, f"{name}.npy is no array", received=show(str(error))) from None
        return shape, fortran, dtype, head.tell()


def other_layers(subject: str, wanted: Mapping[str, Sequence[Place]], stored: Mapping[str, object]) -> ConvcError:
    """The error for a file of other layers: a line for each that is missing, and one for those that are too many."""
    problems: list[ConvcError] = [
        ModelError(str(places[0].origin), "the file has no weights for it", expected=f"a layer named {name!r}")
        for name, places in wanted.items()
        if name not in stored
    ]
    if unknown := [name for name in stored if name not in wanted]:
        received = ", ".join(map(repr, unknown))[:300]
        message = "the file has weights of layers that the model lacks"
        problems.append(ModelError(subject, message, received=received))
    return merge(problems)


def open_zip(path: Path, subject: str) -> zipfile.ZipFile:
    """An open zip. Raises `ModelError`."""
    try:
        return zipfile.ZipFile(path)
    except Exception as error:
        raise ModelError(subject, "the file is truncated or damaged", received=show(str(error))) from None


def _untrained(place: Place, index: int) -> bool:
    """Whether a variable comes behind those that are trained; those of Keras 1 in place of one have its turn."""
    if place.frozen:
        return True
    if index >= len(place.wanted):
        return False
    return place.wanted[index].name.rpartition("/")[2] in STATISTICS
