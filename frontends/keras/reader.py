"""Reads what a Keras model comes in: a .keras file, a .json file or text, or Python objects. Files are untrusted.

Nothing is executed or unpickled, and no more memory is taken than what is stored justifies.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from convc.errors import ModelError
from convc.frontends.keras.config import class_of, show

CONFIG_LIMIT = 64 << 20
"""Bytes; the largest config that is read."""
EXPANSION_LIMIT = 100
"""A zip member above `EXPANSION_FLOOR` may be at most this many times its stored size, as in Keras's own reader."""
EXPANSION_FLOOR = 1 << 20

_HDF5 = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True, eq=False)
class Document:
    """A model's config, and its weights as the bytes of an HDF5 file where it has any."""

    subject: str
    config: Mapping[str, object]
    weights: bytes | None
    legacy: bool
    """Written by Keras 2."""


def read(source: str | Path | Mapping[str, object] | list[object]) -> Document:
    """A path to a .keras or .json file, the text of `model.to_json()`, a config, or a list of layer configs.

    Raises `ModelError` that names the file.
    """
    if isinstance(source, list):
        source = {"class_name": "Sequential", "config": {"name": "sequential", "layers": source}}
    if isinstance(source, Mapping):
        return _document("the config", source, None, "")
    if isinstance(source, str) and source.lstrip().startswith("{"):
        return _document("the config", _parse_json("the config", source.encode()), None, "")
    return _read_file(Path(source))


def _read_file(path: Path) -> Document:
    subject = f"'{path}'"
    try:
        with path.open("rb") as file:
            head = file.read(8)
            file.seek(0)
            if head.startswith(b"PK"):
                return _read_zip(subject, file)
            if head == _HDF5:
                raise ModelError(subject, "HDF5 models are not read", remedy="save it with Keras 3 as a .keras file")
            if not head.lstrip().startswith(b"{"):
                raise ModelError(subject, "this is not a Keras model", expected="a .keras or .json file")
            return _document(subject, _parse_json(subject, file.read(CONFIG_LIMIT + 1)), None, "")
    except ModelError:
        raise
    except OSError as error:
        raise ModelError(subject, "the file cannot be read", received=error.strerror or str(error)) from None
    except ValueError as error:
        raise ModelError(subject, "this is not a path", received=show(str(error))) from None


def _read_zip(subject: str, file: io.BufferedReader) -> Document:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            if "config.json" not in names:
                raise ModelError(subject, "this zip is not a Keras model", expected="a member config.json")
            config = _parse_json(subject, _member(archive, subject, "config.json", CONFIG_LIMIT))
            weights, version = None, ""
            if "model.weights.h5" in names:
                weights = _member(archive, subject, "model.weights.h5", None)
            if "metadata.json" in names:
                metadata = _parse_json(subject, _member(archive, subject, "metadata.json", CONFIG_LIMIT))
                version = str(metadata.get("keras_version"))
            return _document(subject, config, weights, version)
    except ModelError:
        raise
    except Exception as error:  # zipfile and its codecs meet damage with errors of any class
        raise ModelError(subject, "the .keras file is truncated or damaged", received=show(str(error))) from None


def _member(archive: zipfile.ZipFile, subject: str, name: str, limit: int | None) -> bytes:
    """A member's bytes, checked against their CRC; refused where the declared size is out of proportion."""
    info = archive.getinfo(name)
    most = max(EXPANSION_FLOOR, EXPANSION_LIMIT * info.compress_size)
    if info.file_size > (most if limit is None else min(most, limit)):
        raise ModelError(
            subject,
            f"{name} expands too far",
            expected=f"at most {most if limit is None else min(most, limit)} bytes",
            received=str(info.file_size),
        )
    return archive.read(info)


def _parse_json(subject: str, text: bytes) -> Mapping[str, object]:
    if len(text) > CONFIG_LIMIT:
        raise ModelError(subject, "the config is too large", expected=f"at most {CONFIG_LIMIT} bytes")
    try:
        config = json.loads(text)
    except RecursionError:
        raise ModelError(subject, "the config is nested too deeply") from None
    except ValueError as error:
        raise ModelError(subject, "the config is not JSON", received=show(str(error))) from None
    if not isinstance(config, dict):
        raise ModelError(subject, "the config is not a model's", expected="a JSON object", received=show(config))
    return config


def _document(subject: str, config: Mapping[str, object], weights: bytes | None, version: str) -> Document:
    """Adds the class where `config` is what `model.get_config()` returns, and finds out which Keras wrote it."""
    if class_of(config) is None:
        if "layers" not in config:
            raise ModelError(subject, "the config is not a model's", expected="the keys 'class_name' and 'config'")
        kind = "Functional" if "input_layers" in config else "Sequential"
        return Document(subject, {"class_name": kind, "config": config}, weights, version.startswith("2."))
    legacy = str(config.get("keras_version", version))[:2] == "2."
    return Document(subject, config, weights, legacy)
