"""The group: what errors look like, and lazy commands."""

from __future__ import annotations

import errno
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import convc
from convc.cli import main
from convc.cli.group import COMMANDS, describe
from convc.errors import ConvcError, ModelError, Problem

ROOT = Path(__file__).parent.parent.parent


def failing(error: BaseException) -> click.Command:
    @click.command()
    def command() -> None:
        raise error

    return command


def run_failing(monkeypatch: pytest.MonkeyPatch, error: BaseException, *options: str) -> tuple[int, str, str]:
    monkeypatch.setattr(type(main), "get_command", lambda *_: failing(error))
    result = CliRunner().invoke(main, [*options, "targets"])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_an_example(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0
    lines = result.stdout.rstrip().splitlines()
    start = lines.index("  Example:")
    assert lines[start + 1 :]
    assert all(line.startswith(f"    convc {name}") for line in lines[start + 1 :])


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_command_says(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.short_help == COMMANDS[name]


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_lists_all_commands(option: str) -> None:
    result = CliRunner().invoke(main, [option])
    assert result.exit_code == 0
    assert all(f"  {name} " in result.stdout for name in COMMANDS)


def test_version() -> None:
    result = CliRunner().invoke(main, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"convc {convc.__version__}\n")


@pytest.mark.parametrize("arguments", [["nonsense"], ["targets", "--nonsense"], ["compile"]])
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Usage:" in result.stderr


def test_an_error_is_one_line_per_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    error = ModelError.of(
        [Problem("layer 'a' (Dense)", "bad", "3", "4", "fix it"), Problem("layer 'b' (Conv2D)", "odd")]
    )
    code, out, err = run_failing(monkeypatch, error)
    assert (code, out) == (1, "")
    assert err == (
        "convc: error: layer 'a' (Dense): bad: expected 3, got 4 (fix it)\nconvc: error: layer 'b' (Conv2D): odd\n"
    )


def test_an_unexpected_error_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = run_failing(monkeypatch, ZeroDivisionError("oh\nno"))
    assert (code, out) == (1, "")
    assert err.startswith("convc: internal error: ZeroDivisionError: oh no (")
    assert err.count("\n") == 1
    assert "--traceback" in err


def test_traceback_shows_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = run_failing(monkeypatch, ModelError("m", "bad"), "--traceback")
    assert code == 1
    assert err.startswith("Traceback (most recent call last):")
    assert err.endswith("convc: error: m: bad\n")


def test_an_interrupt_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_failing(monkeypatch, KeyboardInterrupt()) == (130, "", "convc: interrupted\n")


def test_a_closed_pipe_is_no_error_message(monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = run_failing(monkeypatch, BrokenPipeError(errno.EPIPE, "Broken pipe"))
    assert (code, out, err) == (1, "", "")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/x/y.so"), "error: '/x/y.so': Permission denied"),
        (OSError(errno.ENOSPC, "No space left on device"), "error: No space left on device"),
        (MemoryError(), "error: out of memory"),
        (ConvcError("a", "b"), "error: a: b"),
    ],
)
def test_descriptions(error: Exception, line: str) -> None:
    assert describe(error) == [line]
