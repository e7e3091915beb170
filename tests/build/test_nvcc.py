from __future__ import annotations

from pathlib import Path

import pytest

from convc.build import nvcc
from convc.errors import TargetError
from convc.target import CudaTarget, named

SOURCE = 'extern "C" __global__ void twice(float *y, const float *x) { y[threadIdx.x] = 2 * x[threadIdx.x]; }'
FATBIN = bytes.fromhex("50ed55ba")


def has_nvcc() -> bool:
    try:
        nvcc.find()
    except TargetError:
        return False
    return True


needs_nvcc = pytest.mark.skipif(not has_nvcc(), reason="there is no nvcc on this machine")


def cuda(name: str = "cuda:sm_80") -> CudaTarget:
    target = named(name)
    assert isinstance(target, CudaTarget)
    return target


def stand_in(folder: Path, body: str) -> Path:
    """A program at the place of nvcc in a toolkit at `folder`."""
    (folder / "bin").mkdir()
    program = folder / "bin" / "nvcc"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return program


@needs_nvcc
def test_machine_code_for_each_architecture_and_ptx_of_the_last() -> None:
    assert nvcc.fatbin(SOURCE, cuda("cuda:sm_80,sm_90")).startswith(FATBIN)
    assert len(nvcc.fatbin(SOURCE, cuda("cuda:sm_80,sm_90"))) > len(nvcc.fatbin(SOURCE, cuda()))


@needs_nvcc
def test_the_same_source_gives_the_same_bytes() -> None:
    assert nvcc.fatbin(SOURCE, cuda()) == nvcc.fatbin(SOURCE, cuda())


@needs_nvcc
def test_what_nvcc_says_is_in_the_error() -> None:
    with pytest.raises(TargetError, match=r"nvcc could not compile the kernels.*unknown_thing"):
        nvcc.fatbin("__global__ void k() { unknown_thing(); }", cuda())


def test_the_toolkit_that_is_named_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = stand_in(tmp_path, "echo 'Cuda compilation tools, release 12.4, V12.4.131'")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    assert nvcc.find() == str(program)
    assert nvcc.version(str(program)) == (12, 4)
    assert nvcc.driver_version(str(program)) == 12000


@pytest.mark.parametrize("body", ["echo 'release 11.8'", "echo hello", "exit 1"])
def test_a_compiler_that_does_not_fit_is_refused(body: str, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="not an nvcc that fits: expected release 12 or newer"):
        nvcc.version(str(stand_in(tmp_path, body)))


def test_without_nvcc_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("convc.build.nvcc.DEFAULT_HOME", tmp_path)
    with pytest.raises(TargetError, match=r"there is no nvcc.*set CUDA_HOME"):
        nvcc.find()
