"""Argument types that several commands share."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from convc.cli import main
from convc.cli.options import named, parse_shape


@pytest.mark.parametrize(
    ("text", "value"),
    [("x=1x224x224x3", ("x", (1, 224, 224, 3))), ("a=b=2", ("a=b", (2,))), ("in put=1X2", ("in put", (1, 2)))],
)
def test_shapes(text: str, value: tuple[str, tuple[int, ...]]) -> None:
    assert parse_shape(text) == value


@pytest.mark.parametrize(
    "text", ["", "x", "=1x2", "x=", "x=1x", "x=1x0", "x=-1x2", "x=1,2", "x=٣", "x=1.5", "x=" + "9" * 5000]
)
def test_wrong_shapes_are_usage_errors(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not of the form"):
        parse_shape(text)


def test_a_name_may_come_once() -> None:
    assert named([("a", 1), ("b", 2)]) == {"a": 1, "b": 2}
    with pytest.raises(click.UsageError, match="names 'a' twice"):
        named([("a", 1), ("a", 2)])


@pytest.mark.parametrize("name", ["compile", "verify", "inspect", "explain"])
def test_help_says_where_weights_come_from(name: str) -> None:
    text = " ".join(CliRunner().invoke(main, [name, "--help"]).output.split())
    assert "--weights FILE|random[:SEED]" in text
    assert ".weights.h5, .h5, .keras or .npz file" in text
    if name in ("compile", "verify"):
        assert "model.json --weights model.weights.h5" in text
