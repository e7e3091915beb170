from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from convc import __version__, artifact
from convc.artifact.elf import read_section
from convc.errors import ArtifactError
from tests.build import kernels


def patched(library: Path, folder: Path, offset: int, data: bytes) -> Path:
    content = bytearray(library.read_bytes())
    content[offset : offset + len(data)] = data
    path = folder / "patched.so"
    path.write_bytes(content)
    return path


def test_metadata_is_read_from_the_file(library: Path) -> None:
    metadata = artifact.read(library)
    program = kernels.mixed()
    assert (metadata.name, metadata.convc_version, metadata.arch) == ("mixed", __version__, "x86_64")
    assert [(spec.name, spec.shape) for spec in metadata.inputs] == [("x", (16, 24)), ("shift", (320,))]
    assert [spec.name for spec in metadata.outputs] == ["y", "z"]
    assert [launch.layers for launch in metadata.launches] == [launch.layers for launch in program.launches]
    assert (metadata.arena_bytes, metadata.weights_bytes) == (program.arena_bytes, program.weights_bytes)
    assert metadata.features == kernels.target().features
    assert artifact.read(str(library)) == metadata


def test_a_missing_section(library: Path) -> None:
    assert read_section(library, ".no.such.section", 100) is None
    assert read_section(library, ".bss", 1 << 30) is None


def test_a_section_beyond_the_limit(library: Path) -> None:
    with pytest.raises(ArtifactError, match="the metadata is too large: expected at most 10 bytes"):
        read_section(library, artifact.METADATA_SECTION, 10)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"nothing\.so: no such file"):
        artifact.read(tmp_path / "nothing.so")
    with pytest.raises(ArtifactError, match="no such file"):
        artifact.read(tmp_path)


def test_a_path_with_a_nul() -> None:
    with pytest.raises(ArtifactError):
        artifact.read("a\0b")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip", b"#!/bin/sh\n", b"\x7fEL"])
def test_a_foreign_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "foreign.so"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="not a shared library: expected an ELF file"):
        artifact.read(path)


def test_a_library_that_convc_did_not_make() -> None:
    numpy_library = next((Path(np.__file__).parent / "_core").glob("*.so"))
    with pytest.raises(ArtifactError, match="not a library that convc made"):
        artifact.read(numpy_library)


@pytest.mark.parametrize(("offset", "value"), [(4, 1), (5, 2), (16, 2)])
def test_another_kind_of_elf(library: Path, tmp_path: Path, offset: int, value: int) -> None:
    with pytest.raises(ArtifactError, match="expected an ELF64 little-endian shared library"):
        artifact.read(patched(library, tmp_path, offset, bytes([value])))


def test_an_arch_that_contradicts_the_metadata(library: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="expected arch aarch64, got arch x86_64"):
        artifact.read(patched(library, tmp_path, 18, struct.pack("<H", 183)))


def test_a_section_table_outside_the_file(library: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="the file is damaged"):
        artifact.read(patched(library, tmp_path, 40, struct.pack("<Q", 1 << 62)))


def test_a_truncated_file(library: Path, tmp_path: Path) -> None:
    content = library.read_bytes()
    for size in range(4, len(content), 997):
        path = tmp_path / "cut.so"
        path.write_bytes(content[:size])
        with pytest.raises(ArtifactError):
            artifact.read(path)


def test_damage_is_an_artifact_error_or_harmless(library: Path, tmp_path: Path) -> None:
    """Random bytes in the header and the section table: nothing but ArtifactError comes out."""
    content = library.read_bytes()
    table = struct.unpack_from("<Q", content, 40)[0]
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(400):
        where = int(rng.integers(4, 64)) if rng.random() < 0.5 else int(rng.integers(table, len(content)))
        try:
            artifact.read(patched(library, tmp_path, where, rng.bytes(int(rng.integers(1, 9)))))
        except ArtifactError:
            refused += 1
    assert refused > 40
