"""Reads one section of an ELF64 little-endian file. Nothing of the file is executed; every offset is checked.

Layout: System V ABI, "Object Files".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from convc.errors import ArtifactError

MAGIC = b"\x7fELF"

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_CLASS_64, _LITTLE_ENDIAN = 2, 1
_SHARED_OBJECT = 3
_NO_BYTES = 8
"""Section type NOBITS: takes no space in the file."""
_MAX_NAMES = 1 << 20
_MACHINES = {62: "x86_64", 183: "aarch64"}


@dataclass(frozen=True)
class Section:
    """A section's content, and the architecture (LLVM's name) that its file is for."""

    arch: str
    data: bytes


def read_section(path: Path, name: str, limit: int) -> Section | None:
    """The section `name` of a shared library, None where it has no such section.

    Raises `ArtifactError` where `path` is not a readable ELF64 shared library, is damaged, or where the section is
    larger than `limit` bytes.
    """
    try:
        if not path.is_file():
            raise ArtifactError(str(path), "no such file")
        with path.open("rb") as file:
            return _read(file, path.stat().st_size, str(path), name.encode(), limit)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise ArtifactError(str(path), "cannot be read", received=str(error)) from None


def _read(file: BinaryIO, size: int, subject: str, name: bytes, limit: int) -> Section | None:
    def take(offset: int, count: int) -> bytes:
        file.seek(min(offset, size))
        data = file.read(count) if offset + count <= size else b""
        if len(data) != count:
            raise ArtifactError(
                subject, "the file is damaged", expected=f"{offset + count} bytes or more", received=f"{size} bytes"
            )
        return data

    start = file.read(_HEADER.size)
    if start[:4] != MAGIC:
        raise ArtifactError(subject, "not a shared library", expected="an ELF file", received=repr(start[:4])[1:])
    header = _HEADER.unpack(take(0, _HEADER.size))
    identity, kind, machine, table = header[0], header[1], header[2], header[6]
    entry_size, count, names_index = header[11], header[12], header[13]
    if identity[4] != _CLASS_64 or identity[5] != _LITTLE_ENDIAN or kind != _SHARED_OBJECT:
        raise ArtifactError(subject, "not a library that convc made", expected="an ELF64 little-endian shared library")
    if count == 0 or entry_size != _SECTION.size or names_index >= count:
        return None
    sections = list(_SECTION.iter_unpack(take(table, entry_size * count)))
    names_offset, names_size = sections[names_index][4], sections[names_index][5]
    names = take(names_offset, min(names_size, _MAX_NAMES))
    for section in sections:
        if names[section[0] : names.find(b"\0", section[0])] != name or section[1] == _NO_BYTES:
            continue
        offset, length = section[4], section[5]
        if length > limit:
            raise ArtifactError(
                subject, "the metadata is too large", expected=f"at most {limit} bytes", received=f"{length} bytes"
            )
        return Section(_MACHINES.get(machine, f"machine {machine}"), take(offset, length))
    return None
