"""HDF5 files that nobody vouches for: no link leaves the file, and no more is read than what is stored justifies."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from convc.errors import ModelError
from convc.frontends.keras.config import show
from convc.frontends.keras.registry import Weight
from convc.ir import Array

EXPANSION_LIMIT = 1000
"""A dataset above `EXPANSION_FLOOR` may be at most this many times its stored size, as in Keras's own reader."""
EXPANSION_FLOOR = 1 << 20
TEXT_LIMIT = 64 << 20
"""Bytes; the largest attribute that is read."""
NAMES_LIMIT = 1_000_000
"""Most names in one list of layers or weights."""


def open_file(data: bytes | Path, subject: str) -> Any:
    """An open `h5py.File`. Raises `ModelError`."""
    try:
        if isinstance(data, bytes):
            return h5py.File(io.BytesIO(data), "r")
        return h5py.File(data, "r", locking=False)
    except Exception as error:  # HDF5 meets damage with errors of any class
        message = f"the {'weights are' if isinstance(data, bytes) else 'file is'} truncated or damaged"
        raise ModelError(subject, message, received=show(str(error))) from None


def child(group: Any, name: str) -> Any:
    """A member that lies in this file: soft and external links are refused, they can name any file."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise ModelError("", "the weights hold a link", expected="data", received=f"a link at {group.name}/{name}")
    return group[name]


def descend(group: Any, path: str) -> Any | None:
    """What lies at a path below `group`; None where nothing does."""
    for part in filter(None, path.split("/")):
        if part == "." or not isinstance(group, h5py.Group) or part not in group:
            return None
        group = child(group, part)
    return group


def text(group: Any, key: str) -> str | None:
    """An attribute that is one string, of bytes or characters; None where there is none. Raises `ModelError`."""
    if key not in group.attrs:
        return None
    stored = group.attrs.get_id(key)
    if stored.shape == () and stored.dtype.itemsize <= TEXT_LIMIT:
        value = group.attrs[key]
        if isinstance(value, bytes):
            value = value.decode(errors="replace")
        if isinstance(value, str):
            return value
    raise ModelError("", f"the attribute '{key}' is wrong", expected="one string")


def names(group: Any, key: str) -> list[str]:
    """A list of strings in the attribute `key`, or in chunks `key`0, `key`1, … where one would be too large."""
    if key in group.attrs:
        return _names(group, key)
    found: list[str] = []
    chunk = 0
    while f"{key}{chunk}" in group.attrs:
        found.extend(_names(group, f"{key}{chunk}"))
        chunk += 1
    return found


def read_dataset(dataset: Any, weight: Weight) -> Array:
    """The values of a weight, where they have its shape and type."""
    _check_stored(dataset, weight.name)
    if dataset.shape != weight.shape:
        raise wrong_shape(weight, dataset.shape)
    return _values(dataset, weight)


def read_reshaped(dataset: Any, weight: Weight, elements: int) -> Array:
    """The values of what a weight is made of, in any shape, where they are at most so many."""
    _check_stored(dataset, weight.name)
    if math.prod(dataset.shape) > elements:
        raise wrong_shape(weight, dataset.shape)
    return _values(dataset, weight)


def wrong_shape(weight: Weight, shape: Sequence[int]) -> ModelError:
    """The error for a weight that is stored in another shape."""
    message = f"weight '{weight.name}' has the wrong shape"
    return ModelError("", message, expected=str(weight.shape), received=str(tuple(shape)))


def wrong_type(weight: Weight, dtype: object) -> ModelError:
    """The error for a weight of another type of element."""
    expected = "an integer" if weight.integer else "floating point"
    return ModelError("", f"weight '{weight.name}' has the wrong type", expected=expected, received=str(dtype))


def _names(group: Any, key: str) -> list[str]:
    stored = group.attrs.get_id(key)
    size = math.prod(stored.shape)
    if stored.shape == (0,):  # of numbers, as NumPy has it
        return []
    if len(stored.shape) == 1 and size <= NAMES_LIMIT and size * stored.dtype.itemsize <= TEXT_LIMIT:
        values = group.attrs[key]
        items = [value.decode(errors="replace") if isinstance(value, bytes) else value for value in values]
        if all(isinstance(item, str) for item in items):
            return [str(item) for item in items]
    raise ModelError("", f"the attribute '{key}' is wrong", expected="a list of names")


def _check_stored(dataset: Any, name: str) -> None:
    """Raises `ModelError` for what lies in another file, or claims to be much larger than what is stored of it."""
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual or dataset.shape is None:
        raise ModelError("", f"weight '{name}' is not stored in the file")
    stored = dataset.id.get_storage_size()
    if dataset.nbytes > max(EXPANSION_FLOOR, EXPANSION_LIMIT * stored):
        raise ModelError(
            "",
            f"weight '{name}' expands too far",
            expected=f"at most {EXPANSION_LIMIT} times the {stored} bytes stored",
            received=f"{dataset.nbytes} bytes",
        )


def _values(dataset: Any, weight: Weight) -> Array:
    if dataset.dtype.kind == "V" and dataset.dtype.itemsize == 2:  # NumPy has no bfloat16
        return _from_bfloat16(dataset[()])
    if dataset.dtype.kind != ("i" if weight.integer else "f"):
        raise wrong_type(weight, dataset.dtype)
    values: Array = dataset[()]
    return values


def _from_bfloat16(values: Array) -> Array:
    """float32 from the upper halves of its bit patterns."""
    return (values.view("<u2").astype(np.uint32) << 16).view(np.float32)
