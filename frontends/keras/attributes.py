"""What the attributes of an HDF5 file of Keras 1 and 2 say, read in a process of its own.

libhdf5 can loop without end, or crash, on the strings of a damaged attribute. What lies in datasets it reads safely.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py

from convc.errors import ConvcError, ModelError
from convc.frontends.keras import hdf5
from convc.frontends.keras.config import show

SECONDS = 20
"""How long reading may take; a sound file takes less than one."""
MEMORY = 2 << 30
"""Bytes of address space that reading may take; damage can ask for any number."""

_CHILD = """
import json, sys
sys.path[:] = json.loads(sys.argv[2])
from convc.frontends.keras.attributes import main
main()
"""


@dataclass(frozen=True)
class Attributes:
    """`config` and `version` are those of a whole model; the rest describes the group with the weights."""

    config: str | None
    version: str | None
    weights_version: str | None
    backend: str | None
    layers: Mapping[str, list[str]]
    """Names of the weights, below the group of each layer, in order."""


def read(path: Path, subject: str) -> Attributes:
    """The attributes of a file. Raises `ModelError`."""
    if not sys.executable:
        return collect(path, subject)
    damaged = ModelError(subject, "the file is truncated or damaged", received="attributes that cannot be read")
    command = [
        sys.executable,
        "-I",
        "-c",
        _CHILD,
        str(path.resolve()),
        json.dumps([entry or "." for entry in sys.path]),
    ]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False, env=environment
        )
        answer = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        raise damaged from None
    if "problem" in answer:
        raise ModelError(subject, **answer["problem"])
    return Attributes(**answer)


def collect(path: Path, subject: str) -> Attributes:
    """The attributes, read in this process. Raises `ModelError`."""
    try:
        with hdf5.open_file(path, subject) as file:
            group = weights_group(file)
            return Attributes(
                hdf5.text(file, "model_config"),
                hdf5.text(file, "keras_version"),
                hdf5.text(group, "keras_version") if group is not None else None,
                hdf5.text(group, "backend") if group is not None else None,
                {name: _weight_names(group, name) for name in hdf5.names(group, "layer_names")} if group else {},
            )
    except ConvcError as error:
        raise error.about(subject) from None
    except Exception as error:  # HDF5 meets damage with errors of any class
        raise ModelError(subject, "the file is truncated or damaged", received=show(str(error))) from None


def weights_group(file: Any) -> Any | None:
    """The group that has the weights of Keras 1 and 2: that of a whole model, or the file. None where it has none."""
    group = hdf5.descend(file, "model_weights") if "model_weights" in file else file
    if not isinstance(group, h5py.Group):
        raise ModelError("", "the file is truncated or damaged", expected="a group 'model_weights'")
    return group if any(key in group.attrs for key in ("layer_names", "layer_names0")) else None


def main() -> None:
    """Prints what `collect` finds in the file that the first argument names."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    try:
        found = asdict(collect(Path(sys.argv[1]), "the file"))
    except ConvcError as error:
        (problem,) = error.problems
        found = {"problem": {key: value for key, value in vars(problem).items() if key != "subject"}}
    print(json.dumps(found))


def _weight_names(group: Any, name: str) -> list[str]:
    layer = hdf5.descend(group, name)
    if not isinstance(layer, h5py.Group):
        raise ModelError("", f"the layer {name[:100]!r} is missing", expected="a group of this name")
    return hdf5.names(layer, "weight_names")
