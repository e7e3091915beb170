"""How results are printed."""

from __future__ import annotations

import pytest

from convc.cli.output import print_table, print_text, progress_bar, quantity, shape_text, size


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (102_400_000, "102.4 MB"), (5_000_000_000_000_000, "5000.0 TB")],
)
def test_size(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0"), (999, "999"), (25_636_712, "25.6 M"), (7_700_000_000, "7.7 G")])
def test_quantity(count: int, text: str) -> None:
    assert quantity(count) == text


@pytest.mark.parametrize(("shape", "text"), [((1, 224, 3), "1x224x3"), ((7,), "7"), ((), "scalar")])
def test_shape_text(shape: tuple[int, ...], text: str) -> None:
    assert shape_text(shape) == text


def test_a_table_keeps_long_cells_and_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "n>"), [("conv[bold]" + "x" * 100, 7)], "title")
    captured = capsys.readouterr()
    assert "conv[bold]" + "x" * 100 in captured.out
    assert captured.out.splitlines()[0].strip() == "title"
    assert captured.err == ""


def test_no_bar_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(shown=True) as report:
        assert report is None
    assert capsys.readouterr() == ("", "")


def test_the_bar_goes_to_stderr(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress_bar(shown=True) as report:
        assert report is not None
        report(1, 2, "compiling conv1")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err != ""


def test_names_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_text("conv\x1b[2J\r\u202e\nnext é")
    print_table(("name",), [("x\x1b]0;title\x07",)])
    out = capsys.readouterr().out
    assert out.splitlines()[:2] == ["conv\\x1b[2J\\r\\u202e", "next é"]
    assert "\x1b" not in out
    assert "x\\x1b]0;title\\x07" in out
