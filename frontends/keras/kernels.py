"""Weights as Keras 1, Theano and cuDNN lay them out, turned into those of Keras 3.

The rules are those by which Keras 2 reads such files (`preprocess_weights_for_loading`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convc.errors import ModelError
from convc.frontends.keras import hdf5
from convc.frontends.keras.config import class_of
from convc.frontends.keras.registry import Weight
from convc.frontends.keras.weights import Place
from convc.ir import Array

CORRELATED = ("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "ConvLSTM2D")
"""Layers whose kernels Theano, which convolves as mathematics does, has turned around."""
_GATES = {"LSTM": ((0, 6, 3, 9), 12), "ConvLSTM2D": ((0, 6, 3, 9), 12), "GRU": ((0, 3, 6), 9)}
"""Where Keras 1 has the kernels of the gates in the order of Keras 2, and how many variables it has in all."""


@dataclass(frozen=True)
class Writer:
    """What wrote a file: the first number of Keras's version, and whether the kernels are Theano's."""

    keras: int
    theano: bool

    @classmethod
    def of(cls, version: str | None, backend: str | None) -> Writer:
        """From the attributes of the group with the weights, where Keras 1 writes none."""
        return cls(1 if version is None or version.startswith("1") else 2, backend == "theano")


def stored_counts(places: Sequence[Place], total: int, writer: Writer) -> list[int] | None:
    """How many variables a file with `total` of them has for each place; None where it cannot be theirs."""
    for counts in ([len(place.wanted) for place in places], [_count_of_keras_1(place) for place in places]):
        if sum(counts) == total:
            return counts
        if writer.keras > 1:
            break
    return None


def converted(place: Place, datasets: Sequence[Any], writer: Writer) -> list[Array]:
    """The values of a place, read from the variables that the file has for it."""
    parts = list(_parts(place))
    if writer.keras > 1 and not writer.theano and not any(_recurrent(kind) for kind, *_ in parts):
        return [hdf5.read_dataset(data, weight) for data, weight in zip(datasets, place.wanted, strict=True)]
    most = sum(math.prod(weight.shape) for weight in place.wanted)
    named = [place.wanted[min(index, len(place.wanted) - 1)] for index in range(len(datasets))]
    arrays = [hdf5.read_reshaped(data, weight, most) for data, weight in zip(datasets, named, strict=True)]
    share = len(arrays) // len(parts)
    values: list[Array] = []
    for index, (kind, config, wanted) in enumerate(parts):
        values += _modern(kind, config, arrays[index * share :][:share], wanted, writer)
    for value, weight in zip(values, place.wanted, strict=True):
        if value.shape != weight.shape:
            raise hdf5.wrong_shape(weight, value.shape)
    return values


def _parts(place: Place) -> Iterator[tuple[str, Mapping[str, Any], Sequence[Weight]]]:
    """Class, config and weights of the layer, or of those that a wrapper has inside."""
    kind, config, halves = place.origin.kind, place.config, 1
    while kind in ("TimeDistributed", "Bidirectional"):
        halves *= 2 if kind == "Bidirectional" else 1
        layer = config.get("layer")
        inner = layer.get("config") if isinstance(layer, Mapping) else None
        kind, config = class_of(layer) or "", inner if isinstance(inner, Mapping) else {}
    if len(place.wanted) % halves:
        raise ModelError("", "the weights are not those of two directions", received=str(len(place.wanted)))
    share = len(place.wanted) // halves
    for index in range(halves):
        yield kind, config, place.wanted[index * share :][:share]


def _count_of_keras_1(place: Place) -> int:
    return sum(
        _GATES[kind][1] if kind in _GATES and len(wanted) == 3 else len(wanted) for kind, _, wanted in _parts(place)
    )


def _recurrent(kind: str) -> bool:
    return kind in ("LSTM", "GRU")


def _modern(
    kind: str, config: Mapping[str, Any], arrays: list[Array], wanted: Sequence[Weight], writer: Writer
) -> list[Array]:
    if kind in _GATES and len(arrays) == _GATES[kind][1]:
        first = _GATES[kind][0]
        arrays = [np.concatenate([arrays[gate + part] for gate in first], axis=-1) for part in range(3)]
    if not arrays or not wanted:
        return arrays
    channels_first = config.get("data_format") == "channels_first"
    kernels = 2 if kind == "ConvLSTM2D" else 1
    if writer.keras == 1:
        arrays[:kernels] = [
            _from_keras_1(kind, a, w, channels_first) for a, w in zip(arrays, wanted[:kernels], strict=False)
        ]
    if writer.theano and kind in CORRELATED:
        arrays[:kernels] = [np.flip(a, axis=tuple(range(a.ndim - 2))) for a in arrays[:kernels]]
    if _recurrent(kind) and len(arrays) == 3 and arrays[2].shape != wanted[2].shape:
        return _from_cudnn(kind, arrays)
    return arrays


def _from_keras_1(kind: str, kernel: Array, wanted: Weight, channels_first: bool) -> Array:
    """A kernel as *spatial, in, out (out, in where it is transposed) from the order that Keras 1 has it in."""
    if kind == "Conv1D" and kernel.ndim == 4:
        size, channels, filters = wanted.shape
        if kernel.shape == (filters, channels, size, 1):
            kernel = np.transpose(kernel, (2, 3, 1, 0))
        return np.squeeze(kernel, 1) if kernel.shape[1] == 1 else kernel
    order: tuple[int, ...] | None = None
    if channels_first:
        orders = {"Conv2D": (2, 3, 1, 0), "ConvLSTM2D": (2, 3, 1, 0), "Conv3D": (2, 3, 4, 1, 0)}
        order = (2, 3, 0, 1) if kind == "Conv2DTranspose" else orders.get(kind)
    elif kind == "Conv2DTranspose":
        order = (0, 1, 3, 2)
    return np.transpose(kernel, order) if order is not None and kernel.ndim == len(order) else kernel


def _from_cudnn(kind: str, arrays: Sequence[Array]) -> list[Array]:
    """Kernels that cuDNN reads by rows as (units, in), and biases of which it has two."""
    gates = 4 if kind == "LSTM" else 3
    kernel, recurrent, bias = arrays
    if kernel.ndim != 2 or recurrent.ndim != 2 or bias.shape != (2 * gates * recurrent.shape[0],):
        return list(arrays)
    parts = [part.T.reshape(part.shape, order="F") for part in np.split(kernel, gates, axis=1)]
    turned = [part.T for part in np.split(recurrent, gates, axis=1)]
    biases = bias.reshape(2, -1)
    return [np.hstack(parts), np.hstack(turned), biases.sum(axis=0) if kind == "LSTM" else biases]
