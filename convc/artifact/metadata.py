"""What a compiled library says about itself: JSON in a section of its own."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

from convc.errors import ArtifactError
from convc.precision import Precision

FORMAT_VERSION = 2
"""Version of the metadata and of `convc_module_v1`; a library of another version is refused."""

DEVICES = {"cpu": 1, "cuda": 2}
"""Devices by name, with DLPack's number of each."""

MAX_RANK = 8
MAX_ENTRIES = 1 << 16
"""More ports or launches than this are taken for damage."""


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a compiled model. `dtype` is NumPy's name."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class LaunchInfo:
    """One kernel call: the layers it computes, its floating point operations, the bytes it must read and write."""

    kernel: str
    layers: str
    flops: int
    bytes: int


@dataclass(frozen=True)
class Metadata:
    """Sizes are in bytes."""

    format_version: int
    convc_version: str
    name: str
    """The prefix of the library's C functions."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    target: str
    arch: str
    features: tuple[str, ...]
    """CPU flags that the code needs, as /proc/cpuinfo spells them."""
    device: str
    """What the kernels run on: one of `DEVICES`."""
    architectures: tuple[str, ...]
    """GPUs that the kernels are compiled for, as sm_80, and compute_80 for what the driver compiles; empty on a CPU."""
    driver_version: int
    """The CUDA driver API that the library needs, 1000 * major + 10 * minor; 0 on a CPU."""
    precision: str
    """The value of a `Precision`; inputs and outputs are float32 or int32 in each of them."""
    arena_bytes: int
    activation_bytes: int
    weights_bytes: int
    launches: tuple[LaunchInfo, ...]

    def to_json(self) -> str:
        """ASCII, the same text for the same values."""
        return json.dumps(dataclasses.asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes, subject: str) -> Metadata:
        """Reads what `to_json` wrote. Raises `ArtifactError` about `subject` for another version and malformed text."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            raise _damaged(subject, "not JSON") from None
        version = values.get("format_version") if isinstance(values, dict) else None
        if type(version) is int and version != FORMAT_VERSION:
            raise ArtifactError(
                subject,
                "compiled by another version of convc",
                expected=f"format {FORMAT_VERSION}",
                received=f"format {version}, convc {str(values.get('convc_version'))[:20]}",
                remedy="compile the model again with 'convc compile', or load it with that version",
            )
        try:
            metadata = _build(cls, values, "metadata")
        except _MalformedError as error:
            raise _damaged(subject, str(error)) from None
        for spec in (*metadata.inputs, *metadata.outputs):
            if len(spec.shape) > MAX_RANK or any(extent <= 0 for extent in spec.shape):
                raise _damaged(subject, f"shape of '{spec.name}'")
            if spec.dtype not in ("float32", "int32"):
                raise _damaged(subject, f"dtype of '{spec.name}'")
        if metadata.device not in DEVICES:
            raise _damaged(subject, f"device '{metadata.device[:20]}'")
        if metadata.precision not in {precision.value for precision in Precision}:
            raise _damaged(subject, f"precision '{metadata.precision[:20]}'")
        return metadata


class _MalformedError(Exception):
    """Says which entry is not what it must be."""


def _damaged(subject: str, what: str) -> ArtifactError:
    return ArtifactError(subject, "the metadata is damaged", received=what, remedy="compile the model again")


_Record = TypeVar("_Record", TensorSpec, LaunchInfo, Metadata)


def _build(record: type[_Record], values: Any, where: str) -> _Record:
    """A dataclass from a JSON object that has exactly its fields, each of its type."""
    hints = get_type_hints(record)
    if not isinstance(values, dict) or values.keys() != hints.keys():
        raise _MalformedError(f"{where}: not exactly the fields {', '.join(hints)}")
    return record(**{name: _value(hint, values[name], f"{where}.{name}") for name, hint in hints.items()})


def _value(hint: Any, value: Any, where: str) -> Any:
    if hint is int:
        if type(value) is not int or not -(1 << 63) <= value < 1 << 63:
            raise _MalformedError(f"{where}: not an integer")
        return value
    if hint is str:
        if not isinstance(value, str):
            raise _MalformedError(f"{where}: not a string")
        return value
    element = getattr(hint, "__args__", ())
    if element:
        if not isinstance(value, list) or len(value) > MAX_ENTRIES:
            raise _MalformedError(f"{where}: not a list")
        return tuple(_value(element[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    return _build(hint, value, where)
