"""`convc inspect` on models; on libraries in test_library.py."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from convc import ops
from convc.cli import main
from convc.cli.dot import to_dot
from convc.ir import DType, Graph, Origin, TensorType, make
from convc.passes import optimize

RANDOM = ("--weights", "random:1")


def test_text(model: Path) -> None:
    result = CliRunner().invoke(main, ["inspect", str(model), *RANDOM])
    assert (result.exit_code, result.stderr) == (0, "")
    assert "model small" in result.stdout
    assert "input x: float32[1x6x6x2]" in result.stdout
    assert "output scores: float32[1x7]" in result.stdout


def test_json_counts(model: Path) -> None:
    result = CliRunner().invoke(main, ["inspect", str(model), *RANDOM, "--batch", "3", "--json"])
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert report["inputs"] == [{"name": "x", "shape": [3, 6, 6, 2], "dtype": "float32"}]
    assert report["parameters"] == (3 * 3 * 2 * 4 + 4) + 4 * 4 + (4 * 7 + 7)
    conv = next(group for group in report["groups"] if "Conv" in group["operations"])
    assert conv["shape"] == [3, 6, 6, 4]
    assert conv["flops"] >= 2 * 3 * 6 * 6 * 4 * 3 * 3 * 2
    assert report["flops"] == sum(group["flops"] for group in report["groups"])


def test_a_picture(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.dot"
    result = CliRunner().invoke(main, ["inspect", str(model), *RANDOM, "--graph", str(path)])
    assert result.exit_code == 0
    text = path.read_text()
    assert text.startswith('digraph "small" {')
    assert text.count("->") >= 5


def test_names_are_quoted_in_a_picture() -> None:
    x = make(ops.Input(TensorType((1, 2), DType.FLOAT32)), origin=Origin('a"b\\', "InputLayer"))
    y = make(
        ops.Add(), x, ops.constant(np.ones(2, np.float32), Origin("c", "Add")), origin=Origin('evil\n"];x[', "Add")
    )
    text = to_dot(optimize(Graph("g", (x,), (y,), ("y",))).grouped)
    assert 'a\\"b\\\\' in text
    assert 'evil\\n\\"];x[' in text
    assert "evil\n" not in text


def test_a_foreign_file(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"hello")
    result = CliRunner().invoke(main, ["inspect", str(path)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "this is not a Keras model" in result.stderr


def test_a_foreign_library(tmp_path: Path) -> None:
    path = tmp_path / "x.so"
    path.write_bytes(b"\x7fELF" + bytes(100))
    for arguments in (["inspect", str(path)], ["inspect", str(path), "--graph", str(tmp_path / "x.dot")]):
        result = CliRunner().invoke(main, arguments)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("convc: error: ")
        assert result.stderr.count("\n") == 1
    assert not (tmp_path / "x.dot").exists()
