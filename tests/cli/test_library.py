"""The commands that make and use a library, on a real one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from convc import artifact
from convc.build.program import Program
from convc.cli import main
from tests.cli.conftest import LAYERS, write_model

ROOT = Path(__file__).parent.parent.parent
RANDOM = ("--weights", "random:1")


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def refused(result: Result, text: str) -> None:
    """Exit 1, one line on stderr that has `text`, nothing on stdout."""
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    assert result.stderr.startswith("convc: error: ")
    assert result.stderr.count("\n") == 1
    assert text in result.stderr


@pytest.fixture(scope="module")
def library(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("library") / "small.so"
    result = invoke("compile", model, "-o", path, *RANDOM, "--header")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert result.stdout.startswith(f"{path}  ")
    assert path.with_suffix(".h").read_text().count("small_run") > 0
    return path


def test_compile_json(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.so"
    result = invoke("compile", model, "-o", path, *RANDOM, "--json", "--target", "x86-64-v2", "--batch", 2)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["target"] == "x86-64-v2"
    assert report["library_bytes"] == path.stat().st_size
    assert 0 < report["arena_bytes"] <= report["activation_bytes"]
    assert artifact.read(path).inputs[0].shape == (2, 6, 6, 2)
    assert list(tmp_path.iterdir()) == [path]


def test_compile_exact(tmp_path: Path, programs: list[Program]) -> None:
    """The option excludes Winograd's algorithm, which a layer of this size otherwise gets."""
    config = {"name": "conv", "filters": 32, "kernel_size": 3, "padding": "same"}
    layers = [
        {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 28, 28, 32]}},
        {"class_name": "Conv2D", "config": config},
    ]
    model = write_model(tmp_path / "wide.json", layers)
    for options in ((), ("--exact",)):
        result = invoke("compile", model, "-o", tmp_path / "m.so", *RANDOM, "--target", "x86-64-v3", *options)
        assert result.exit_code == 0, result.output
    assert [len(program.expansions) for program in programs] == [1, 0]


def test_compile_names_the_library_after_the_model(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke("compile", model, *RANDOM, "-q")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    assert [path.name for path in tmp_path.iterdir()] == ["small.so"]


def test_compile_verbose_lists_decisions_on_stderr(model: Path, tmp_path: Path) -> None:
    result = invoke("compile", model, *RANDOM, "-o", tmp_path / "m.so", "-v", "--json")
    assert result.exit_code == 0
    assert "layer 'bn' (BatchNormalization)" in result.stderr
    json.loads(result.stdout)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ((), "weights"),
        ((*RANDOM, "--precision", "int8"), "precision 'int8': unknown precision"),
        ((*RANDOM, "--target", "z80"), "unknown target"),
        (("--weights", "best"), "random:SEED"),
        ((*RANDOM, "--input", "y=1x2"), "no such input"),
        ((*RANDOM, "--input", "x=1x2"), "does not fit"),
    ],
)
def test_a_refused_compile_leaves_nothing(model: Path, tmp_path: Path, options: tuple[str, ...], text: str) -> None:
    refused(invoke("compile", model, "-o", tmp_path / "m.so", *options), text)
    assert list(tmp_path.iterdir()) == []


def test_compile_keeps_an_older_library_on_failure(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.so"
    path.write_bytes(b"older")
    assert invoke("compile", model, "-o", path).exit_code == 1
    assert path.read_bytes() == b"older"


def test_quiet_and_verbose_exclude_each_other(model: Path) -> None:
    assert invoke("compile", model, "-q", "-v").exit_code == 2


def test_run_random(library: Path) -> None:
    result = invoke("run", library, "--input", "x=random:3")
    assert (result.exit_code, result.stderr) == (0, "")
    first, top = result.stdout.splitlines()
    assert first.startswith("scores: float32[1x7]")
    assert top.count("class ") == 5


def test_run_json_and_files(library: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((1, 6, 6, 2))
    np.save(tmp_path / "x.npy", x)
    for option in (f"x={tmp_path / 'x.npy'}", str(tmp_path / "x.npy")):
        result = invoke("run", library, "--input", option, "-o", tmp_path / "y.npz", "--json")
        assert result.exit_code == 0, result.output
        report = json.loads(result.stdout)["scores"]
        with np.load(tmp_path / "y.npz", allow_pickle=False) as file:
            scores = file["scores"]
        assert scores.shape == tuple(report["shape"]) == (1, 7)
        assert scores.sum() == pytest.approx(1, abs=1e-6)
        assert report["top"][0][0] == {"class": int(scores.argmax()), "value": pytest.approx(float(scores.max()))}


def test_run_says_what_is_random(library: Path) -> None:
    result = invoke("run", library)
    assert result.exit_code == 0
    assert result.stderr == "convc: input 'x' is random (--input x=x.npy gives it)\n"


def test_run_refuses_a_wrong_shape(library: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 6, 6)))
    refused(invoke("run", library, "--input", tmp_path / "x.npy", "-o", tmp_path / "y.npz"), "wrong shape")
    assert not (tmp_path / "y.npz").exists()


def test_run_usage(library: Path, tmp_path: Path) -> None:
    assert invoke("run", library, "--input", "nothing=random").exit_code == 2
    assert invoke("run", library, "--input", "x=random", "--input", "x=random").exit_code == 2
    assert invoke("run", library, "-o", tmp_path / "y.txt").exit_code == 2


def test_bench(library: Path) -> None:
    result = invoke("bench", library, "--seconds", 0.01, "--threads", 1, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["runs"] >= 10
    assert report["device"] == "cpu"
    assert 0 < report["min_ms"] <= report["p50_ms"] <= report["p90_ms"] <= report["p99_ms"]
    text = invoke("bench", library, "--seconds", 0.01)
    assert text.exit_code == 0
    assert text.stdout.splitlines()[-1].endswith(" runs on cpu")
    assert "samples/s" in text.stdout


def test_profile_covers_every_call(library: Path) -> None:
    result = invoke("profile", library, "--runs", 2, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["device"] == "cpu"
    launches = artifact.read(library).launches
    assert [call["kernel"] for call in report["calls"]] == [launch.kernel for launch in launches]
    shares = sum(call["share"] for call in report["calls"])
    assert shares + report["overhead_seconds"] / report["seconds"] == pytest.approx(1)
    assert report["overhead_seconds"] > 0
    text = invoke("profile", library, "--runs", 1)
    assert text.exit_code == 0
    assert "conv" in text.stdout
    assert "GFLOP/s" in text.stdout
    assert [line.split()[0] for line in text.stdout.splitlines()[-3:]] == ["overhead", "run", "the"]


def test_profile_of_the_most_expensive_kernel(library: Path) -> None:
    report = json.loads(invoke("profile", library, "--top", 1, "--json").stdout)
    first, rest = report["calls"]
    assert first["calls"] + rest["calls"] == len(artifact.read(library).launches)
    assert "other kernel" in rest["kernel"]
    assert first["seconds"] + rest["seconds"] == pytest.approx(report["kernel_seconds"])
    text = invoke("profile", library, "--top", 1)
    assert "other kernel" in text.stdout


def test_inspect(library: Path) -> None:
    result = invoke("inspect", library)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "input x: float32[1, 6, 6, 2]" in result.stdout
    report = json.loads(invoke("inspect", library, "--json").stdout)
    assert report["name"] == "small"
    assert report["library_bytes"] == library.stat().st_size
    assert report["weights_bytes"] > 0
    assert (report["device"], report["architectures"], report["precision"]) == ("cpu", [], "float32")


def test_verify(library: Path, model: Path) -> None:
    result = invoke("verify", library, model, *RANDOM)
    assert result.exit_code == 0, result.output
    assert "the library computes what the model says" in result.stdout
    report = json.loads(invoke("verify", library, model, *RANDOM, "--json", "--seed", 5).stdout)
    assert report["ok"]
    assert report["seed"] == 5


def test_verify_compares_every_kernel(library: Path, model: Path) -> None:
    result = invoke("verify", library, model, *RANDOM, "--kernels", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert [c["name"] for c in report["kernels"]] == [launch.layers for launch in artifact.read(library).launches]
    assert all(c["ok"] for c in report["kernels"])


def test_verify_finds_a_library_of_other_weights(library: Path, model: Path) -> None:
    result = invoke("verify", library, model, "--weights", "random:2")
    assert result.exit_code == 1
    assert "WRONG" in result.stdout
    assert "passes and kernels are right" in result.stdout


def test_verify_refuses_another_model(library: Path, tmp_path: Path) -> None:
    other = write_model(tmp_path / "other.json", [*LAYERS[:1], {"class_name": "Flatten", "config": {"name": "flat"}}])
    refused(invoke("verify", library, other, *RANDOM), "outputs of the model: not those of the library")


@pytest.mark.parametrize("command", ["run", "bench", "profile", "verify"])
def test_devices(command: str, library: Path, model: Path) -> None:
    arguments = (command, library, *((model, *RANDOM) if command == "verify" else ()))
    refused(invoke(*arguments, "--device", "cuda"), "compiled for the CPU: expected device 'cpu', got device 'cuda:0'")
    refused(invoke(*arguments, "--device", "gpu"), "device 'gpu': no such device: expected cpu, cuda or cuda:N")


def test_run_on_the_cpu(library: Path) -> None:
    assert invoke("run", library, "--device", "cpu").exit_code == 0


@pytest.mark.parametrize("command", ["run", "bench", "profile"])
def test_a_file_that_is_no_library(command: str, model: Path, tmp_path: Path) -> None:
    refused(invoke(command, model), "small.json")
    refused(invoke(command, tmp_path / "no.so"), "no.so")


def test_a_truncated_library(library: Path, tmp_path: Path) -> None:
    content = library.read_bytes()
    for part in (4, 100, len(content) // 2, len(content) - 1):
        path = tmp_path / f"{part}.so"
        path.write_bytes(content[:part])
        refused(invoke("run", path), path.name)


def test_running_a_library_imports_no_compiler(library: Path) -> None:
    code = (
        "import sys\nfrom convc.cli import main\n"
        f"try:\n    main(['run', {str(library)!r}])\nexcept SystemExit as done:\n    assert not done.code\n"
        "print('heavy:', *sorted({'tvm', 'h5py', 'onnx', 'keras'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "heavy:"
