"""Reads what a Keras model comes in: a .keras, .h5 or .json file, text, or Python objects. Files are untrusted.

Nothing is executed or unpickled, and no more memory is taken than what is stored justifies.
"""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from convc.errors import ConvcError, ModelError
from convc.frontends.keras import attributes, hdf5
from convc.frontends.keras.arrays import Grouped, Zipped, open_zip
from convc.frontends.keras.attributes import Attributes
from convc.frontends.keras.config import as_json, class_of, show
from convc.frontends.keras.formats import HDF5, foreign
from convc.frontends.keras.legacy import Dialect
from convc.frontends.keras.weights import Absent, Drawn, Stored, Weights
from convc.frontends.keras.zips import member

CONFIG_LIMIT = 64 << 20
"""Bytes; the largest config that is read."""

MODELS = "a .keras, .h5 or .json file"
WEIGHTS = "a .weights.h5, .h5, .keras or .npz file"


@dataclass(frozen=True, eq=False)
class Document:
    """A model's config, and its weights as an HDF5 file, or the bytes of one, where it has any."""

    subject: str
    config: Mapping[str, object]
    weights: bytes | Path | None
    dialect: Dialect
    attributes: Attributes | None = None
    """What is known of the HDF5 file."""


def read(source: str | Path | Mapping[str, object] | list[object]) -> Document:
    """A path to a .keras, .h5 or .json file, the text of `model.to_json()`, a config, or a list of layer configs.

    Raises `ModelError` that names the file.
    """
    if isinstance(source, (Mapping, list)):
        plain = as_json(source)
        if isinstance(plain, list):
            plain = {"class_name": "Sequential", "config": {"name": "sequential", "layers": plain}}
        assert isinstance(plain, dict)
        return _document("the config", plain, None, "")
    if isinstance(source, str) and source.lstrip()[:1] in ("{", "["):
        return _document("the config", _parse_json("the config", source.encode(errors="surrogatepass")), None, "")
    return _read_file(Path(source))


def open_weights(document: Document, option: str | os.PathLike[str] | None) -> Weights:
    """The source of a model's variables: its own, or what `option` says: a file, "random" or "random:SEED".

    Raises `ModelError`.
    """
    if option is None:
        if document.weights is None:
            return Absent(document.subject)
        return _stored(document.weights, document.subject, document.attributes)
    if isinstance(option, str) and re.match("random(:|$)", option):
        return Drawn.parse(option)
    path = Path(option)
    subject = f"'{path}'"
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except (OSError, ValueError) as error:
        message = "the weights cannot be read"
        reason = getattr(error, "strerror", None) or show(str(error))
        raise ModelError(subject, message, expected=f"{WEIGHTS}, random or random:SEED", received=reason) from None
    if head.startswith(HDF5):
        return _stored(path, subject, None)
    if head.startswith(b"PK"):
        return _zipped(path, subject)
    raise foreign(path, head, WEIGHTS)


def _read_file(path: Path) -> Document:
    subject = f"'{path}'"
    try:
        with path.open("rb") as file:
            head = file.read(16)
            if head.startswith(HDF5):
                return _read_hdf5(path, subject)
            if head.startswith(b"PK"):
                return _read_zip(path, subject)
            if not head.lstrip().startswith((b"{", b"[")):
                raise foreign(path, head, MODELS)
            file.seek(0)
            return _document(subject, _parse_json(subject, file.read(CONFIG_LIMIT + 1)), None, "")
    except ModelError:
        raise
    except OSError as error:
        raise ModelError(subject, "the file cannot be read", received=error.strerror or str(error)) from None
    except ValueError as error:
        raise ModelError(subject, "this is not a path", received=show(str(error))) from None


def _read_zip(path: Path, subject: str) -> Document:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if "config.json" not in names:
                raise foreign(path, b"PK", MODELS, names)
            config = _parse_json(subject, member(archive, subject, "config.json", CONFIG_LIMIT))
            weights, version = None, ""
            if "model.weights.h5" in names:
                weights = member(archive, subject, "model.weights.h5", None)
            if "metadata.json" in names:
                metadata = _parse_json(subject, member(archive, subject, "metadata.json", CONFIG_LIMIT))
                version = str(metadata.get("keras_version"))[:20]
            return _document(subject, config, weights, version)
    except ConvcError:
        raise
    except Exception as error:  # zipfile and its codecs meet damage with errors of any class
        raise ModelError(subject, "the .keras file is truncated or damaged", received=show(str(error))) from None


def _read_hdf5(path: Path, subject: str) -> Document:
    """A whole model: its config is an attribute, its weights are in the group "model_weights"."""
    found = attributes.read(path, subject)
    if found.config is None:
        raise ModelError(
            subject,
            "this file holds weights and no model",
            expected="the attribute 'model_config'",
            remedy=f"compile the model's config with --weights {path.name}",
        )
    config = _parse_json(subject, found.config.encode(errors="replace"))
    return replace(_document(subject, config, path, (found.version or "")[:20]), attributes=found)


def _stored(data: bytes | Path, subject: str, found: Attributes | None) -> Weights:
    """The weights of an HDF5 file, in the layout of Keras 3 or in that of Keras 1 and 2."""
    file = hdf5.open_file(data, subject)
    try:
        group = attributes.weights_group(file)
        if group is None:
            return Stored(file)
        if isinstance(data, bytes):
            raise ModelError(subject, "the weights are not those of a .keras file", expected="the layout of Keras 3")
        return Grouped(group, found or attributes.read(data, subject), subject)
    except ConvcError as error:
        file.close()
        raise error.about(subject) from None
    except Exception as error:  # HDF5 meets damage with errors of any class
        file.close()
        raise ModelError(subject, "the weights are truncated or damaged", received=show(str(error))) from None


def _zipped(path: Path, subject: str) -> Weights:
    archive = open_zip(path, subject)
    names = archive.namelist()
    if names and all(name.endswith(".npy") for name in names):
        return Zipped(archive, subject)
    try:
        with archive:
            if "model.weights.h5" in names:
                return _stored(member(archive, subject, "model.weights.h5", None), subject, None)
    except ConvcError:
        raise
    except Exception as error:  # zipfile and its codecs meet damage with errors of any class
        raise ModelError(subject, "the file is truncated or damaged", received=show(str(error))) from None
    raise foreign(path, b"PK", WEIGHTS, names)


def _parse_json(subject: str, text: bytes) -> Mapping[str, object]:
    if len(text) > CONFIG_LIMIT:
        raise ModelError(subject, "the config is too large", expected=f"at most {CONFIG_LIMIT} bytes")
    try:
        config = json.loads(text)
    except RecursionError:
        raise ModelError(subject, "the config is nested too deeply") from None
    except ValueError as error:
        raise ModelError(subject, "the config is not JSON", received=show(str(error))) from None
    if isinstance(config, list):
        config = {"class_name": "Sequential", "config": {"name": "sequential", "layers": config}}
    if not isinstance(config, dict):
        raise ModelError(subject, "the config is not a model's", expected="a JSON object", received=show(config))
    return config


def _document(subject: str, config: Mapping[str, object], weights: bytes | Path | None, version: str) -> Document:
    """Adds the class where `config` is what `model.get_config()` returns, and finds out which Keras wrote it."""
    if "modelTopology" in config:
        remedy = "convert it back with tensorflowjs_converter --input_format=tfjs_layers_model --output_format=keras"
        raise ModelError(subject, "this is a TensorFlow.js model", expected=MODELS, remedy=remedy)
    version = str(config.get("keras_version") or version)[:20]
    if class_of(config) is None:
        if "layers" not in config:
            raise ModelError(subject, "the config is not a model's", expected="the keys 'class_name' and 'config'")
        kind = "Functional" if "input_layers" in config else "Sequential"
        config = {"class_name": kind, "config": config}
    return Document(subject, config, weights, Dialect.of(version, config))
