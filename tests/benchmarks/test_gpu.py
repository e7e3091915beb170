"""What can be said of the benchmark on GPUs without one: its folder, its guards, its arithmetic, its tables."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import benchmarks
from benchmarks import gpu, gpu_folder, gpu_report
from benchmarks.gpu import Plan
from benchmarks.gpu_folder import Subject
from benchmarks.gpu_prepare import prepare
from benchmarks.gpu_report import Floors, Measured, Race
from benchmarks.onnx_export import export
from benchmarks.plain_graph import load, read_onnx
from convc import artifact
from convc.artifact import LaunchInfo
from convc.errors import ConvcError, ModelError
from convc.passes import optimize
from tests.cases import fused

ROOT = Path(__file__).parent.parent.parent
DIGITS = ROOT / "examples" / "digits" / "digits.keras"
SUBJECT = Subject("resnet50", 4, "float16", (4, 8, 8, 3), "a.so", "a.json", "a.npz")
LAUNCHES = (LaunchInfo("k0", "conv", 4_000_000, 1000), LaunchInfo("k1", "pool", 0, 3000))


def filled(folder: Path) -> Path:
    """A folder with files of the right names."""
    gpu_folder.write(folder, [SUBJECT])
    for name in (SUBJECT.library, SUBJECT.steps, SUBJECT.weights):
        (folder / name).write_bytes(b"")
    return folder


def test_a_folder_says_what_is_in_it(tmp_path: Path) -> None:
    assert gpu_folder.read(filled(tmp_path)) == [SUBJECT]
    assert SUBJECT.channels_first == (4, 3, 8, 8)


@pytest.mark.parametrize("text", [None, "[", "[]", "{}", '[{"model": "x"}]', "[1]"])
def test_a_folder_that_was_not_prepared(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / gpu_folder.MANIFEST).write_text(text)
    with pytest.raises(ModelError, match=r"nothing to measure is in it .*gpu_prepare"):
        gpu_folder.read(tmp_path)


def test_files_that_are_missing_are_named(tmp_path: Path) -> None:
    (filled(tmp_path) / "a.npz").unlink()
    with pytest.raises(ModelError, match=r"files are missing: got a\.npz"):
        gpu_folder.read(tmp_path)


@pytest.mark.parametrize("recipe", ["classifier", "inverted_residual", "dense_gelu", "stem_with_padded_max_pool"])
def test_a_plain_graph_is_kept(recipe: str, tmp_path: Path) -> None:
    graph, _ = fused.build(recipe)
    export(optimize(graph).grouped.graph, tmp_path / "model.onnx")
    plain = read_onnx(tmp_path / "model.onnx")
    plain.save(tmp_path / "steps.json", tmp_path / "weights.npz")
    again = load(tmp_path / "steps.json", tmp_path / "weights.npz")
    assert replace(again, weights={}) == replace(plain, weights={})
    assert list(again.weights) == list(plain.weights)
    for name, value in plain.weights.items():
        np.testing.assert_array_equal(again.weights[name], value)


def test_a_model_is_prepared(tmp_path: Path) -> None:
    """For this CPU: a folder is made of whatever the target is."""
    subjects = [prepare(DIGITS, "digits", batch, tmp_path, "float32", "native") for batch in (1, 3)]
    gpu_folder.write(tmp_path, subjects)
    assert gpu_folder.read(tmp_path) == subjects
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "digits.npz", "digits_1.json", "digits_1_float32.so", "digits_3.json", "digits_3_float32.so", "manifest.json",
    ]  # fmt: skip
    first, second = subjects
    assert (first.shape[0], second.shape[0]) == (1, 3)
    for subject in subjects:
        assert artifact.read(tmp_path / subject.library).inputs[0].shape == subject.shape
        graph = subject.graph(tmp_path)
        assert graph.steps
        assert {name for step in graph.steps for name in step.inputs} >= set(graph.weights)


def without(*modules: str) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Runs the benchmark on a folder in an interpreter that lacks these modules."""

    def run(folder: str) -> subprocess.CompletedProcess[str]:
        code = f"import sys; sys.modules.update(dict.fromkeys({modules!r})); from benchmarks.gpu import main"
        command = [sys.executable, "-c", f"{code}; sys.exit(main([{folder!r}]))"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    return run


def test_measuring_needs_nothing_that_compiling_does(tmp_path: Path) -> None:
    """Not even to say what is missing."""
    run = without("torch", "tvm", "tvm_ffi", "onnx", "ml_dtypes", "h5py", "click", "rich", "keras", "jax")
    done = run(str(filled(tmp_path)))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: benchmarks.gpu: torch is not installed (pip install torch; convc is measured beside it, and by its"
        " events)\n"
    )


def test_a_machine_without_a_gpu_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = SimpleNamespace(__version__="9.9", cuda=SimpleNamespace(is_available=lambda: False))
    monkeypatch.setitem(sys.modules, "torch", torch)
    with pytest.raises(ConvcError, match=r"torch finds no GPU: got torch 9\.9 \(run it on a machine with a GPU"):
        gpu.measure(filled(tmp_path), Plan(1, 0.1))


class FakeGpu:
    """In place of benchmarks.torch_gpu: notes who runs, and lets time pass by the contender's speed."""

    def __init__(self, answers: dict[str, float]) -> None:
        self.answers = answers
        self.turns: list[str] = []
        self.running = ""

    def contenders(self, folder: Path, subject: Subject) -> object:
        def contender(name: str, value: float) -> SimpleNamespace:
            return SimpleNamespace(
                run=lambda: setattr(self, "running", name), answer=lambda: np.full(3, value, np.float32)
            )

        return {name: contender(name, value) for name, value in self.answers.items()}, np.ones(3, np.float32)

    def turn(self, run: Callable[[], object], calls: int) -> float:
        run()
        self.turns.append(self.running)
        return 1e-3 * (1 + list(self.answers).index(self.running))

    stream = staticmethod(nullcontext)
    wait = staticmethod(lambda: None)
    peak_flops = staticmethod(lambda precision: 1e9)
    peak_bandwidth = staticmethod(lambda: 1e6)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, float]], FakeGpu]:
    def install(answers: dict[str, float]) -> FakeGpu:
        made = FakeGpu(answers)
        monkeypatch.setitem(sys.modules, "benchmarks.torch_gpu", made)
        monkeypatch.setattr(benchmarks, "torch_gpu", made, raising=False)
        monkeypatch.setattr(artifact, "read", lambda path: SimpleNamespace(launches=LAUNCHES))
        return made

    return install


def test_contenders_run_in_turn(fake: Callable[[dict[str, float]], FakeGpu], tmp_path: Path) -> None:
    device = fake({"convc": 1.0, "torch": 1.01, "torch.compile": 0.99})
    result = gpu.race(tmp_path, SUBJECT, Plan(rounds=4, seconds=0.1))
    first = device.turns[::6]  # each contender has two turns: one that finds the number of calls
    assert first == ["convc", "torch", "torch.compile", "convc"]
    assert result.measured["torch"].device == (2e-3,) * 4
    assert gpu_report.ratios(result, "torch.compile") == pytest.approx((3.0,) * 4)
    assert len(result.floors) == 4
    assert result.measured["torch"].error == pytest.approx(0.01, rel=1e-5)


@pytest.mark.parametrize("value", [1.2, float("nan"), float("inf")])
def test_a_wrong_answer_is_refused(value: float, fake: Callable[[dict[str, float]], FakeGpu], tmp_path: Path) -> None:
    fake({"convc": value, "torch": 1.0})
    with pytest.raises(ConvcError, match=r"convc: its answer is wrong: expected 0\.05 from torch in float32, got"):
        gpu.race(tmp_path, SUBJECT, Plan(1, 0.1))


def test_floors_are_the_larger_of_both_kernel_by_kernel() -> None:
    floors = Floors.of(LAUNCHES, flops=1e9, bandwidth=1e6)
    assert floors == Floors(1e9, 1e6, operations=4e-3, memory=4e-3, kernels=4e-3 + 3e-3)


def test_tables() -> None:
    measured = {
        "convc": Measured((1e-3, 2e-3, 1.5e-3), (3e-3, 3e-3, 3e-3), 1e-3),
        "torch": Measured((2e-3, 3e-3, 3e-3), (4e-3, 4e-3, 5e-3), 2e-3),
    }
    floors = Floors.of(LAUNCHES, flops=8e9, bandwidth=4e6)
    text = gpu_report.to_markdown({"gpu": "G", "date": "today", "torch": "2"}, [Race(SUBJECT, measured, (floors,) * 3)])
    lines = text.splitlines()
    assert lines[0] == "G, today; torch 2"
    rows = [line for line in lines if line.startswith("| resnet50")]
    assert rows == [
        "| resnet50 | 4 | float16 | convc | 1.500 (1.000 to 2.000) | 3.000 (3.000 to 3.000) |  | 2667 | 1.0e-03 |",
        "| resnet50 | 4 | float16 | torch | 3.000 (2.000 to 3.000) | 4.000 (4.000 to 5.000) | 2.00 (1.50 to 2.00) |"
        " 1333 | 2.0e-03 |",
        "| resnet50 | 4 | float16 | 0.500 | 1.000 | 1.250 | 83% | 0 | 0 |",
    ]
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1


def test_json_holds_all_rounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = {"convc": Measured((1e-3,), (2e-3,), 0.0)}
    race = Race(SUBJECT, measured, (Floors.of(LAUNCHES, 1e12, 1e12),))
    monkeypatch.setattr(gpu, "measure", lambda folder, plan: [race])
    monkeypatch.setattr(benchmarks, "torch_gpu", SimpleNamespace(machine=lambda: {"gpu": "G"}), raising=False)
    assert gpu.main([str(tmp_path), "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["machine"] == {"gpu": "G"}
    assert values["results"][0]["measured"]["convc"]["device"] == [1e-3]
    assert values["results"][0]["subject"]["shape"] == [4, 8, 8, 3]


def test_no_rounds_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu.main(["folder", "--rounds", "0"])
    assert "--rounds: at least one" in capsys.readouterr().err
