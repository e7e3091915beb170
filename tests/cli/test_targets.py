"""`convc targets`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from convc import target as targets
from convc.build import nvcc
from convc.cli import main
from convc.cli.targets import missing


def test_text_names_every_target() -> None:
    result = CliRunner().invoke(main, ["targets"])
    assert result.exit_code == 0
    assert result.stdout.startswith("this machine: ")
    assert all(t.name in result.stdout for t in targets.known())


def test_json() -> None:
    result = CliRunner().invoke(main, ["targets", "--json"])
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert [t["name"] for t in report["targets"]] == [t.name for t in targets.known()]
    assert all(t["runs_here"] == (t["missing"] == []) for t in report["targets"])
    assert report["native"] is None or report["native"]["name"] in {t.name for t in targets.known()}


def test_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvcc, "find", lambda: "/opt/cuda/bin/nvcc")
    monkeypatch.setattr(nvcc, "version", lambda path: (13, 1))
    text = CliRunner().invoke(main, ["targets"]).stdout
    assert "cuda: GPUs of NVIDIA, by default sm_80 sm_90 compute_90;" in text
    assert text.splitlines()[-1] == "nvcc 13.1 at /opt/cuda/bin/nvcc"
    report = json.loads(CliRunner().invoke(main, ["targets", "--json"]).stdout)["cuda"]
    assert (report["default"], report["nvcc"], report["nvcc_version"]) == (
        ["sm_80", "sm_90", "compute_90"], "/opt/cuda/bin/nvcc", "13.1",
    )  # fmt: skip
    assert {"sm_75", "sm_80", "sm_90", "sm_120"} <= set(report["architectures"])


def test_no_nvcc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_HOME", raising=False)
    monkeypatch.setattr(nvcc, "DEFAULT_HOME", tmp_path)
    result = CliRunner().invoke(main, ["targets"])
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "there is no nvcc: install NVIDIA's CUDA toolkit"
    assert json.loads(CliRunner().invoke(main, ["targets", "--json"]).stdout)["cuda"]["nvcc"] is None


def test_what_a_machine_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    v3 = targets.resolve("x86-64-v3")
    monkeypatch.setattr(targets, "host_arch", lambda: "x86_64")
    monkeypatch.setattr(targets, "host_features", lambda: frozenset(v3.features) - {"fma"})
    assert missing(v3) == ["fma"]
    assert missing(targets.resolve("aarch64")) == ["aarch64"]
    assert missing(targets.resolve("x86-64-v2")) == []


def test_a_machine_that_is_not_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "host_arch", lambda: "riscv64")
    result = CliRunner().invoke(main, ["targets"])
    assert result.exit_code == 0
    assert result.stdout.startswith("this machine: riscv64, which convc does not compile for")
    assert json.loads(CliRunner().invoke(main, ["targets", "--json"]).stdout)["native"] is None
