"""The commands on a library for a GPU, from the model's file to answers of the emulated device."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from convc import artifact
from convc.cli import main
from tests.cli.conftest import LAYERS, write_model
from tests.cuda.emulator import FakeCuda
from tests.cuda.emulator.toolchain import workspace
from tests.cuda.runtime_support import assert_nothing_is_left

RANDOM = ("--weights", "random:1")


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def done(*arguments: object) -> str:
    """What a command prints that succeeds."""
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(result: Result, text: str) -> None:
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    assert result.stderr.startswith("convc: error: ")
    assert result.stderr.count("\n") == 1
    assert text in result.stderr


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "small.json", LAYERS)


@pytest.fixture
def library(fake_cuda: FakeCuda, model: Path, tmp_path: Path) -> Path:
    """Compiled once."""
    kept = workspace() / "cli.so"
    if not kept.exists():
        done("compile", model, "-o", kept, *RANDOM, "--target", "cuda:sm_80,sm_90", "-q")
    return Path(shutil.copy(kept, tmp_path / "small.so"))


def test_compile(fake_cuda: FakeCuda, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.so"
    report = json.loads(
        done("compile", model, "-o", path, *RANDOM, "--target", "cuda", "--precision", "tf32", "--json")
    )
    assert report["target"] == "cuda"
    held = artifact.read(path)
    assert (held.device, held.architectures, held.precision) == ("cuda", ("sm_80", "sm_90", "compute_90"), "tf32")
    refused(invoke("compile", model, "-o", path, *RANDOM, "--target", "cuda:sm_1"), "unknown architecture of GPUs")
    refused(invoke("compile", model, "-o", path, *RANDOM, "--precision", "float16"), "precision 'float16': is for GPUs")


def test_inspect(library: Path) -> None:
    held = artifact.read(library)
    lines = done("inspect", library).splitlines()
    assert f"  target cuda:sm_80,sm_90 ({held.arch}), precision float32, needs no CPU feature" in lines
    (line,) = (line for line in lines if line.startswith("  device "))
    assert line.startswith("  device cuda: sm_80 sm_90 compute_90, needs a driver for CUDA ")
    assert line.endswith(f"{held.driver_version // 1000}.0")
    report = json.loads(done("inspect", library, "--json"))
    assert (report["device"], report["architectures"]) == ("cuda", ["sm_80", "sm_90", "compute_90"])
    assert report["driver_version"] == held.driver_version > 0


def test_run(fake_cuda: FakeCuda, library: Path, model: Path, tmp_path: Path) -> None:
    fake_cuda.set("devices", 2)
    done("compile", model, "-o", tmp_path / "host.so", *RANDOM, "-q")
    done("run", tmp_path / "host.so", "--input", "random:3", "-o", tmp_path / "want.npy")
    for device in ((), ("--device", "cuda"), ("--device", "cuda:1")):
        text = done("run", library, "--input", "random:3", "-o", tmp_path / "got.npy", *device)
        assert text.startswith("scores: float32[1x7]")
        got, want = (np.load(tmp_path / f"{name}.npy") for name in ("got", "want"))
        assert np.linalg.norm(got - want) <= 1e-5 * np.linalg.norm(want)
    assert_nothing_is_left(fake_cuda)


@pytest.mark.parametrize("command", ["run", "bench", "profile"])
def test_what_cannot_run(fake_cuda: FakeCuda, library: Path, command: str) -> None:
    refused(invoke(command, library, "--device", "cpu"), "compiled for GPUs: expected device 'cuda', got device 'cpu'")
    refused(invoke(command, library, "--device", "cuda:1"), "device: expected 0 to 0, got 1")
    refused(
        invoke(command, library, "--threads", 2), "threads: the library runs on a GPU: got 2 (leave the threads out)"
    )
    fake_cuda.set("devices", 0)
    refused(invoke(command, library), "no GPU that CUDA can use")


def test_bench(library: Path) -> None:
    report = json.loads(done("bench", library, "--seconds", 0.01, "--json"))
    assert (report["device"], report["threads"]) == ("cuda:0", None)
    assert report["runs"] >= 10
    assert done("bench", library, "--seconds", 0.01).splitlines()[-1].endswith(" runs on cuda:0")


def test_profile(library: Path) -> None:
    report = json.loads(done("profile", library, "--runs", 2, "--json"))
    assert (report["device"], report["peak_gflops"]) == ("cuda:0", None)
    assert [call["kernel"] for call in report["calls"]] == [call.kernel for call in artifact.read(library).launches]
    for options in ((), ("--top", 1)):
        text = done("profile", library, "--runs", 1, *options)
        assert "TFLOP/s" in text
        assert "of peak" not in text
        assert text.splitlines()[-1] == "on cuda:0"


def test_verify(library: Path, model: Path) -> None:
    report = json.loads(done("verify", library, model, *RANDOM, "--kernels", "--json"))
    assert (report["ok"], report["tolerance"]) == (True, 1e-5)
    assert len(report["kernels"]) > 1
    result = invoke("verify", library, model, "--weights", "random:2")
    assert result.exit_code == 1
    assert "passes and kernels are right" in result.stdout


@pytest.mark.parametrize(("precision", "tolerance"), [("tf32", 3e-3), ("float16", 5e-3), ("bfloat16", 2e-2)])
def test_verify_by_precision(
    fake_cuda: FakeCuda, model: Path, tmp_path: Path, precision: str, tolerance: float
) -> None:
    path = tmp_path / "m.so"
    done("compile", model, "-o", path, *RANDOM, "--target", "cuda:sm_80", "--precision", precision, "-q")
    report = json.loads(done("verify", path, model, *RANDOM, "--kernels", "--json"))
    assert (report["ok"], report["tolerance"]) == (True, tolerance)
    assert max(c["error"] for c in report["outputs"]) > 1e-7, "rounded less than it says"
    assert max(c["error"] for c in report["after_passes"]) < 1e-5
    assert invoke("verify", path, model, *RANDOM, "--tolerance", 1e-9).exit_code == 1
