"""The caller's arrays, checked against the model's inputs and made dense; outputs, aligned as the kernels like them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from convc.artifact import TensorSpec
from convc.errors import ConvcError, ShapeError, merge
from convc.runtime import dlpack

Array = npt.NDArray[Any]
T = TypeVar("T")

ALIGNMENT = 64
"""Bytes. The driver copies what is not aligned so; outputs are, and cost no copy."""


def prepare(specs: Sequence[TensorSpec], values: Sequence[object]) -> list[Array]:
    """`values` as dense arrays of the specs' shapes and dtypes, in order; copied only where they are not that already.

    Raises `ShapeError` that names every input that does not fit.
    """
    return each("input", specs, values, _as_input)


def writable(specs: Sequence[TensorSpec], values: Sequence[object]) -> list[Array]:
    """`values`, which are arrays that a run can write the outputs to. Raises `ShapeError` that names all others."""
    return each("output", specs, values, _as_output)


def each(
    role: str, specs: Sequence[TensorSpec], values: Sequence[object], check: Callable[[str, TensorSpec, object], T]
) -> list[T]:
    """`check(subject, spec, value)` of each value. Raises `ShapeError` with all that were raised.

    `role` is "input" or "output".
    """
    if len(values) != len(specs):
        raise ShapeError(
            f"{role}s",
            "wrong number of arrays",
            expected=f"{len(specs)} ({'; '.join(map(str, specs))})",
            received=str(len(values)),
        )
    results: list[T] = []
    errors: list[ConvcError] = []
    for spec, value in zip(specs, values, strict=True):
        try:
            results.append(check(f"{role} '{spec.name}'", spec, value))
        except ShapeError as error:
            errors.append(error.with_traceback(None))  # which would hold the values until garbage is collected
    if errors:
        raise merge(errors)
    return results


def by_name(role: str, specs: Sequence[TensorSpec], values: Mapping[str, object]) -> list[object]:
    """The values in the specs' order. Raises `ShapeError` where a name is missing or unknown."""
    names = [spec.name for spec in specs]
    if values.keys() != set(names):
        raise ShapeError(
            f"{role}s", "wrong names", expected=", ".join(names), received=", ".join(map(str, values)) or "none"
        )
    return [values[name] for name in names]


def allocate(spec: TensorSpec) -> Array:
    """A fresh array of that shape and dtype; its data begins at a multiple of `ALIGNMENT` and is undefined."""
    dtype = np.dtype(spec.dtype)
    size = math.prod(spec.shape) * dtype.itemsize
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(spec.shape)


def _as_input(subject: str, spec: TensorSpec, value: object) -> Array:
    if dlpack.on_gpu(value):
        raise ShapeError(
            subject, "in memory of a GPU", expected="an array of the host", remedy="copy it to the host first"
        )
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ShapeError(subject, "not an array", expected=_text(spec), received=str(error).split("\n")[0]) from None
    if array.shape != spec.shape:
        raise ShapeError(subject, "wrong shape", expected=str(spec.shape), received=str(array.shape))
    return np.ascontiguousarray(_cast(subject, spec, array)).reshape(spec.shape)


def _as_output(subject: str, spec: TensorSpec, value: object) -> Array:
    if not isinstance(value, np.ndarray):
        raise ShapeError(subject, "not a NumPy array", expected=_text(spec), received=type(value).__name__)
    if value.shape != spec.shape:
        raise ShapeError(subject, "wrong shape", expected=str(spec.shape), received=str(value.shape))
    if value.dtype != np.dtype(spec.dtype):
        raise ShapeError(subject, "wrong dtype", expected=spec.dtype, received=str(value.dtype))
    if not value.flags.c_contiguous or not value.flags.writeable:
        wrong = "read-only" if value.flags.c_contiguous else "not dense"
        raise ShapeError(subject, wrong, expected="row-major elements without gaps that may be written to")
    return value


def _cast(subject: str, spec: TensorSpec, array: Array) -> Array:
    """`array` in the spec's dtype. Floats may be rounded; a value that the dtype cannot hold at all is refused."""
    dtype = np.dtype(spec.dtype)
    if array.dtype == dtype:
        return array
    if array.dtype.kind not in "biuf" or not np.can_cast(array.dtype, dtype, casting="same_kind"):
        raise ShapeError(
            subject,
            "wrong dtype",
            expected=f"{dtype} or what casts to it safely",
            received=str(array.dtype),
            remedy=f"convert it with .astype('{dtype}')",
        )
    with np.errstate(over="ignore"):
        result = array.astype(dtype)
    fits = np.array_equal(result, array) if dtype.kind == "i" else np.array_equal(np.isinf(result), np.isinf(array))
    if not fits:
        raise ShapeError(
            subject, "values out of range", expected=f"values that {dtype} can hold", received=str(array.dtype)
        )
    return result


def _text(spec: TensorSpec) -> str:
    return f"{spec.dtype} of shape {spec.shape}"
