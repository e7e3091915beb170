from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from convc import artifact, runtime, target
from convc.build import driver, link
from convc.build.program import Program
from convc.errors import ArtifactError, TargetError
from tests.build import kernels
from tests.tolerances import assert_close

Build = Callable[[Program], Path]


def with_features(folder: Path, kernels_object: Path, *features: str) -> Path:
    output = folder / "plain.so"
    link.link(kernels.plain(), kernels_object, replace(kernels.target(), features=features), output, None)
    return output


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no such file"):
        runtime.load(tmp_path / "nothing.so")


def test_a_foreign_file_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "text.so"
    path.write_text("not a library")
    with pytest.raises(ArtifactError, match="not a shared library"):
        runtime.load(path)


def test_a_foreign_library_is_not_executed(tmp_path: Path) -> None:
    """Its constructor would leave a file."""
    source, witness = tmp_path / "evil.c", tmp_path / "executed"
    source.write_text(
        "#include <stdio.h>\n"
        f'__attribute__((constructor)) static void run(void) {{ fclose(fopen("{witness}", "w")); }}\n'
    )
    assert os.system(f"cc -shared -fPIC {source} -o {tmp_path}/evil.so") == 0
    with pytest.raises(ArtifactError, match="not a library that convc made"):
        runtime.load(tmp_path / "evil.so")
    assert not witness.exists()


def test_a_truncated_library(mixed: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.so"
    path.write_bytes(mixed.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match="the file is damaged"):
        runtime.load(path)


def test_a_version_of_another_convc(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "FORMAT_VERSION", 3)
    path = build(kernels.plain("later"))
    with pytest.raises(ArtifactError, match="compiled by another version of convc: expected format 2, got format 3"):
        runtime.load(path)


def test_a_cpu_that_lacks_a_feature(tmp_path: Path) -> None:
    kernels_object = kernels.write_kernels(tmp_path / "kernels.o")
    path = with_features(tmp_path, kernels_object, "sse4_2", "imaginary")
    with pytest.raises(TargetError, match="which this CPU is not: expected imaginary, got a CPU without"):
        runtime.load(path)


def test_another_architecture(mixed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "host_arch", lambda: "riscv64")
    with pytest.raises(TargetError, match="compiled for another machine: expected riscv64, got x86_64"):
        runtime.load(mixed)


def test_metadata_that_does_not_fit_the_library(mixed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = artifact.read(mixed)
    for lie in (replace(held, arena_bytes=7), replace(held, device="cuda"), replace(held, precision="float16")):
        monkeypatch.setattr(artifact, "read", lambda path, lie=lie: lie)
        with pytest.raises(ArtifactError, match="do not fit"):
            runtime.load(mixed)


def test_a_model_that_is_compiled_again_to_the_same_path(build: Build, tmp_path: Path) -> None:
    """The loader would answer with the library that it has under this name already."""
    inputs, path = kernels.inputs_of_mixed(), tmp_path / "model.so"
    modules = []
    for seed in (0, 1, 2):
        library = build(kernels.mixed(seed=seed))
        shutil.move(library, path)
        modules.append(runtime.load(path))
    for seed, module in enumerate(modules):
        assert_close(module(inputs)[0], kernels.outputs_of_mixed(inputs, seed)["y"])
        module.close()
