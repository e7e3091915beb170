"""The demo's model, its data and what it prints."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import convc

FOLDER = Path(__file__).parent.parent.parent / "examples" / "digits"


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The demo as a module that writes to a temporary folder and measures briefly."""
    spec = importlib.util.spec_from_file_location("digits_demo", FOLDER / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "OUTPUT", tmp_path / "digits.so")
    monkeypatch.setattr(module, "LATENCY_CALLS", 20)
    return module


def test_the_files_are_small() -> None:
    assert (FOLDER / "digits.keras").stat().st_size < 150_000
    assert (FOLDER / "heldout.npz").stat().st_size < 50_000


def test_the_demo_compiles_and_classifies(demo: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main() == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "356 of 360 digits" in out
    assert "98.9%" in out
    for part in ("compile", "library", "kernels", "needs", "classify", "says 0, is 0", "✗", "measure", "latency", "█"):
        assert part in out
    assert "\x1b" not in out, "colours in output that is not a terminal's"
    assert all(name.startswith(("libc.", "libm.", "ld-linux")) for name in demo.needed(demo.OUTPUT))


def test_the_program_in_c_reads_a_digit(tmp_path: Path) -> None:
    convc.compile(FOLDER / "digits.keras", tmp_path / "digits.so", header=True)
    program = tmp_path / "run_model"
    source = FOLDER.parent / "c" / "run_model.c"
    subprocess.run(["cc", f"-I{tmp_path}", source, "-o", program, tmp_path / "digits.so"], check=True)
    with np.load(FOLDER / "heldout.npz") as heldout:
        image, label = heldout["images"][0], int(heldout["labels"][0])
    result = subprocess.run([program], input=image.astype("<f4").tobytes(), capture_output=True, check=True)
    assert np.argmax(np.array(result.stdout.split(), np.float32)) == label


def test_a_refusal_is_one_line(
    demo: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "MODEL", tmp_path / "missing.keras")
    assert demo.main() == 1
    error = capsys.readouterr().err
    assert error.startswith("demo: error: ")
    assert "missing.keras" in error
    assert error.count("\n") == 1


def test_choose_shows_mistakes_last_and_as_many_digits_as_fit(demo: ModuleType) -> None:
    labels = np.arange(30) % 10
    answers = labels.copy()
    answers[[4, 17, 25]] = 0
    assert demo.choose(answers, labels) == [0, 1, 2, 3, 14, 5, 4, 17]
    assert demo.choose(labels, labels) == list(range(8))


def test_drawing_in_black_and_white(demo: ModuleType) -> None:
    image = np.zeros((8, 8, 1), np.float32)
    image[0, 0] = image[7, 7] = 1
    lines = demo.drawing(image, colours=False).plain.split("\n")
    assert len(lines) == 8
    assert [line.rstrip() for line in lines] == ["██", *[""] * 6, " " * 14 + "██"]


def test_drawing_in_colours_uses_one_glyph(demo: ModuleType) -> None:
    text = demo.drawing(np.full((8, 8, 1), 0.5, np.float32), colours=True)
    assert set(text.plain) == {"▀", "\n"}
    assert str(text.spans[0].style) == "rgb(138,138,138) on rgb(138,138,138)"
