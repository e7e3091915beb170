"""Libraries that are built here and checked elsewhere: on the emulated device, by processes that have nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convc.build.link import link
from convc.target import CudaTarget
from tests.cuda import carried, carry, devices, emulator, runtime_support
from tests.cuda.carried import INPUT, OUTPUT, Item
from tests.cuda.emulator import FakeCuda
from tests.cuda.emulator.toolchain import fake_cuda as fake_library
from tests.test_imports import HEAVY

ROOT = Path(__file__).parents[2]
FAULTY = runtime_support.SOURCE.replace("y[i] =", "y[i + (1 << 20)] =")


@pytest.fixture
def gpu(fake_cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> CudaTarget:
    """What the emulated device is, which is the GPU of processes too."""
    monkeypatch.setenv("LD_LIBRARY_PATH", str(fake_library().parent))
    return devices.target(90)


def pair(folder: Path, name: str, target: CudaTarget, source: str = runtime_support.SOURCE) -> Item:
    """A small library in the folder, whose kernels are `source`."""
    fatbin = folder / "kernels.fatbin"
    fatbin.write_bytes(emulator.emulated_fatbin(source, target))
    link(runtime_support.program(), fatbin, target, folder / f"{name}.so", None)
    inputs = runtime_support.feeds()
    arrays = {f"{INPUT}{key}": value for key, value in inputs.items()}
    arrays |= {f"{OUTPUT}{key}": value for key, value in runtime_support.answers(inputs).items()}
    np.savez(folder / "pair.npz", allow_pickle=False, **arrays)
    return Item(name, f"{name}.so", "pair.npz", 1e-6)


def checked(folder: Path, *options: str) -> tuple[int, list[dict[str, Any]]]:
    """What `check` returns and finds."""
    code = carry.main(["check", str(folder), "--json", str(folder / "found.json"), *options])
    found: list[dict[str, Any]] = json.loads((folder / "found.json").read_text())
    return code, found


def test_built_and_checked(gpu: CudaTarget, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert carry.main(["build", str(tmp_path), "--only", "attention-*float16"]) == 0
    assert "2 libraries" in capsys.readouterr().err
    names = ["attention-float16", "attention-bfloat16"]
    assert [item.name for item in carried.read(tmp_path)] == names
    assert len({item.data for item in carried.read(tmp_path)}) == 1
    code, found = checked(tmp_path)
    assert code == 0
    assert [outcome["name"] for outcome in found] == names
    for outcome in found:
        assert 0 < outcome["error"] < outcome["tolerance"]
        assert outcome["seconds"] > 0
    table = capsys.readouterr().out
    assert table.count(" ok\n") == 2
    assert "2 of 2 are right" in table


def test_what_does_not_fit_is_left_out(gpu: CudaTarget, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert carry.main(["build", str(tmp_path), "--only", "attention-float16", "--limit-mb", "0"]) == 0
    assert "LEFT OUT" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_failure_does_not_hide_others(gpu: CudaTarget, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = pair(tmp_path, "good", gpu), pair(tmp_path, "faulty", gpu, FAULTY)
    wrong = replace(pair(tmp_path, "wrong", gpu), tolerance=-1.0)
    torn, gone = pair(tmp_path, "torn", gpu), replace(good, name="gone", data="gone.npz")
    (tmp_path / torn.library).write_bytes((tmp_path / torn.library).read_bytes()[:1000])
    items = [bad, wrong, torn, gone, good]
    carried.write(tmp_path, items)
    code, found = checked(tmp_path)
    assert code == 1
    messages = {outcome["name"]: outcome["message"] for outcome in found}
    assert list(messages) == [item.name for item in items]
    assert "one by one" in messages["faulty"]
    assert "'scale_1'" in messages["faulty"].partition("one by one")[2]
    assert "y is off by 0" in messages["wrong"]
    assert "torn.so" in messages["torn"]
    assert "gone.npz" in messages["gone"]
    assert messages["good"] == ""
    table = capsys.readouterr().out
    assert table.count("FAILED: ") == 4
    assert "1 of 5 are right" in table
    assert checked(tmp_path, "--only", "go?d")[0] == 0


@pytest.mark.parametrize(("options", "message"), [((), "no libraries"), (("--only", "x*"), "no library fits")])
def test_nothing_to_check(
    options: Sequence[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if options:
        carried.write(tmp_path, [Item("a", "a.so", "a.npz", 1e-6)])
    assert carry.main(["check", str(tmp_path), *options]) == 1
    assert message in capsys.readouterr().err


def test_a_target_that_is_no_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert carry.main(["build", str(tmp_path), "--architectures", "sm_1"]) == 1
    assert "sm_1" in capsys.readouterr().err


def test_checking_needs_nothing_heavy() -> None:
    heavy = {*HEAVY, "ml_dtypes", "pytest", "convc.ir", "convc.build"}
    code = f"import tests.cuda.carry, sys; print(*sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
