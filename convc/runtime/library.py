"""Opens a compiled library after checking, without running any of it, that this process can."""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path

from convc import artifact, target
from convc.artifact import DEVICES, MODULE_SYMBOL, DeviceTable, Metadata, ModuleTable
from convc.errors import ArtifactError, TargetError
from convc.runtime.device import Device, choose


class Library:
    """A loaded library: its metadata, its module table and where it runs. Contexts of it share code and weights."""

    def __init__(self, path: Path, device: Device | None) -> None:
        """Raises `ArtifactError` for what is no library of this format, `TargetError` for one of another machine and
        of another kind of device than `device`."""
        self.path = path
        self.metadata = artifact.read(path)
        self.device = choose(str(path), self.metadata, device)
        _check_machine(str(path), self.metadata)
        try:
            self._library = ctypes.CDLL(_fresh_name(path))
            self.table = ModuleTable.in_dll(self._library, MODULE_SYMBOL)
        except (OSError, ValueError) as error:
            raise ArtifactError(str(path), "cannot be loaded", received=str(error)) from None
        _check_table(str(path), self.table, self.metadata)


_lock = threading.Lock()
_opened: dict[str, list[tuple[int, int]]] = {}


def _fresh_name(path: Path) -> str:
    """A spelling of `path` that the dynamic loader has not seen for another file.

    The loader knows libraries by the name they were opened with: a model that is compiled again to the same path would
    otherwise be answered with the old one, as long as this process runs.
    """
    folder, name = os.path.split(os.path.realpath(path))
    status = os.stat(path)
    identity = (status.st_dev, status.st_ino)
    with _lock:
        seen = _opened.setdefault(os.path.join(folder, name), [])
        if identity not in seen:
            seen.append(identity)
        return os.path.join(folder, "./" * seen.index(identity) + name)


def _check_machine(subject: str, metadata: Metadata) -> None:
    if metadata.arch != target.host_arch():
        raise TargetError(
            subject,
            "compiled for another machine",
            expected=target.host_arch(),
            received=metadata.arch,
            remedy="compile it with --target native here",
        )
    missing = [feature for feature in metadata.features if feature not in target.host_features()]
    if missing:
        raise TargetError(
            subject,
            f"compiled for {metadata.target}, which this CPU is not",
            expected=", ".join(missing),
            received="a CPU without",
            remedy="compile it with --target native here, or for an older target: 'convc targets'",
        )


def _check_table(subject: str, table: ModuleTable, metadata: Metadata) -> None:
    """What was loaded is what was read: the file may have been replaced in between."""
    fits = (
        table.format_version == metadata.format_version
        and table.size == ctypes.sizeof(ModuleTable)
        and (table.inputs, table.outputs) == (len(metadata.inputs), len(metadata.outputs))
        and table.launches == len(metadata.launches)
        and table.device == DEVICES[metadata.device]
        and bool(table.on_device) == (metadata.device != "cpu")
        and (not table.on_device or table.on_device.contents.size == ctypes.sizeof(DeviceTable))
        and Metadata.from_json(ctypes.string_at(table.metadata, table.metadata_bytes), subject) == metadata
    )
    if not fits:
        raise ArtifactError(subject, "the library and its metadata do not fit", remedy="compile the model again")
