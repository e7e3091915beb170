"""The compiled library as a file: its metadata, read without executing it, and its loader's interface."""

from __future__ import annotations

from pathlib import Path

from convc.artifact.abi import METADATA_SECTION, MODULE_SYMBOL, DeviceTable, ModuleTable
from convc.artifact.elf import read_section
from convc.artifact.metadata import DEVICES, FORMAT_VERSION, LaunchInfo, Metadata, TensorSpec
from convc.errors import ArtifactError

__all__ = [
    "DEVICES", "FORMAT_VERSION", "METADATA_SECTION", "MODULE_SYMBOL", "DeviceTable", "LaunchInfo", "Metadata",
    "ModuleTable", "TensorSpec", "read",
]  # fmt: skip

MAX_METADATA = 64 << 20
"""Bytes of metadata beyond which a file is taken for damaged."""


def read(path: Path | str) -> Metadata:
    """The metadata of a compiled library. The file is parsed, never loaded: none of its code runs.

    Raises `ArtifactError` where there is no such file, or it is foreign, damaged or of another format version.
    """
    path = Path(path)
    section = read_section(path, METADATA_SECTION, MAX_METADATA)
    if section is None:
        raise ArtifactError(
            str(path), "not a library that convc made", remedy="make one with 'convc compile MODEL -o OUT.so'"
        )
    metadata = Metadata.from_json(section.data.rstrip(b"\0"), str(path))
    if metadata.arch != section.arch:
        raise ArtifactError(
            str(path), "the metadata is damaged", expected=f"arch {section.arch}", received=f"arch {metadata.arch}"
        )
    return metadata
