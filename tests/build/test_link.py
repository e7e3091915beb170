from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convc import target as targets
from convc.build import link as linker
from convc.build.link import find_compiler, link
from convc.build.program import Buffer, Program, Storage
from convc.errors import ArtifactError, TargetError, UnsupportedError
from tests.build import kernels

ALLOWED = re.compile(r"lib(c|m|pthread)\.so\.\d+|ld-linux.*")


def script(path: Path, body: str) -> str:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def output_of(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_only_libc_is_needed(kernels_object: Path, tmp_path: Path) -> None:
    library = kernels.build(kernels.mixed(), kernels_object, tmp_path)
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", output_of("readelf", "-d", library))
    assert needed
    assert [name for name in needed if not ALLOWED.fullmatch(name)] == []


def test_only_the_interface_is_exported(kernels_object: Path, tmp_path: Path) -> None:
    library = kernels.build(kernels.mixed(), kernels_object, tmp_path)
    exported = {line.split()[-1] for line in output_of("nm", "-D", "--defined-only", library).splitlines()}
    functions = {f"mixed_{verb}" for verb in ("create", "run", "destroy", "last_error")}
    assert exported == functions | {"convc_module_v1"}


def test_the_library_is_hardened(kernels_object: Path, tmp_path: Path) -> None:
    library = kernels.build(kernels.mixed(), kernels_object, tmp_path)
    assert "BIND_NOW" in output_of("readelf", "-d", library)
    segments = output_of("readelf", "-lW", library)
    assert "GNU_RELRO" in segments
    assert not re.search(r"GNU_STACK.*RWE", segments)


def test_the_same_program_gives_the_same_bytes(kernels_object: Path, tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "another" / "deeper"]
    contents = []
    for folder in folders:
        folder.mkdir(parents=True)
        contents.append(kernels.build(kernels.mixed(), kernels_object, folder).read_bytes())
    assert contents[0] == contents[1]
    assert str(tmp_path).encode() not in contents[0]
    assert b".convc-" not in contents[0]


def test_other_weights_give_other_bytes(kernels_object: Path, tmp_path: Path) -> None:
    first = kernels.build(kernels.mixed(seed=0), kernels_object, tmp_path).read_bytes()
    assert kernels.build(kernels.mixed(seed=3), kernels_object, tmp_path).read_bytes() != first


def test_the_driver_compiles_without_a_warning(
    kernels_object: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "cc -Wpedantic -Wshadow -Wundef -Werror")
    for program in (kernels.mixed(), kernels.halves()):
        kernels.build(program, kernels_object, tmp_path)


def test_nothing_but_library_and_header_is_left(kernels_object: Path, tmp_path: Path) -> None:
    kernels.build(kernels.mixed(), kernels_object, tmp_path, header=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mixed.h", "mixed.so"]


def test_a_failing_compiler_leaves_the_old_file(
    kernels_object: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "mixed.so").write_text("old")
    body = 'test "$1" = -dumpmachine && exec cc "$1"\necho "x.c:1: error: out of luck" >&2\nexit 1'
    monkeypatch.setenv("CC", script(tmp_path / "cc", body))
    with pytest.raises(TargetError, match=r"could not build the library: got x\.c:1: error: out of luck"):
        kernels.build(kernels.mixed(), kernels_object, folder, header=True)
    assert [path.name for path in folder.iterdir()] == ["mixed.so"]
    assert (folder / "mixed.so").read_text() == "old"


def test_a_folder_that_is_not_there(kernels_object: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot be written"):
        kernels.build(kernels.mixed(), kernels_object, tmp_path / "nowhere")


def test_weights_beyond_32_bits_are_refused(kernels_object: Path, tmp_path: Path) -> None:
    large = replace(kernels.plain(), weights_bytes=linker.MAX_WEIGHTS + 1)
    with pytest.raises(UnsupportedError, match="too large for one library"):
        kernels.build(large, kernels_object, tmp_path)


def test_cc_names_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "cc -pipe")
    assert find_compiler(targets.native()) == ["cc", "-pipe"]


@pytest.mark.parametrize("cc", ["/nowhere/cc", "false"])
def test_cc_that_does_not_run(cc: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", cc)
    with pytest.raises(TargetError, match="CC: not a C compiler that runs"):
        find_compiler(targets.native())


def test_cc_for_another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", script(tmp_path / "cc", "echo riscv64-linux-gnu"))
    with pytest.raises(TargetError, match="CC compiles for another machine: expected x86_64, got riscv64-linux-gnu"):
        find_compiler(targets.resolve("x86-64-v3"))


def test_no_compiler_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TargetError, match=r"no C compiler to link with: expected cc or gcc or clang \(install gcc"):
        find_compiler(targets.native())


def test_a_cross_compiler_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(linker, "host_arch", lambda: "x86_64")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TargetError, match=r"expected aarch64-linux-gnu-gcc \(install gcc for aarch64"):
        find_compiler(targets.resolve("aarch64"))
    script(tmp_path / "aarch64-linux-gnu-gcc", "echo aarch64-linux-gnu")
    assert find_compiler(targets.resolve("aarch64")) == ["aarch64-linux-gnu-gcc"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: replace(p, arena_bytes=64),
        lambda p: replace(p, weights_bytes=128),
        lambda p: replace(p, launches=p.launches[:2]),
        lambda p: replace(p, launches=()),
        lambda p: replace(p, name="2fast"),
        lambda p: replace(p, weights=[(4, np.zeros(4, np.float32))]),
        lambda p: replace(p, inputs=p.inputs[:1]),
        lambda p: replace(
            p, launches=(*p.launches, replace(p.launches[0], arguments=(Buffer(Storage.ARENA, 4, kernels.SHIFT),)))
        ),
    ],
)
def test_a_program_that_contradicts_itself_is_refused(damage: object, kernels_object: Path, tmp_path: Path) -> None:
    program: Program = damage(kernels.mixed())  # type: ignore[operator]
    with pytest.raises(AssertionError):
        link(program, kernels_object, kernels.target(), tmp_path / "m.so", None)


@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler")
def test_the_header_is_cxx_too(kernels_object: Path, tmp_path: Path) -> None:
    library = kernels.build(kernels.mixed(), kernels_object, tmp_path, header=True)
    main = tmp_path / "main.cc"
    main.write_text(
        '#include "mixed.h"\nint main() { mixed_destroy(mixed_create(1)); return mixed_x_elements != 384; }\n'
    )
    output_of("c++", "-Wall", "-Wextra", "-Werror", main, library, "-o", tmp_path / "main")
    output_of(tmp_path / "main")
