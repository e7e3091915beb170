"""`convc explain`."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from convc.cli import main
from tests.cli.conftest import LAYERS, write_model


def test_text_says_what_was_fused(model: Path) -> None:
    result = CliRunner().invoke(main, ["explain", str(model), "--weights", "random:1"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert "bn (BatchNormalization)" in result.stdout
    assert "folded into conv" in result.stdout


def test_json_names_rule_and_layer(model: Path) -> None:
    result = CliRunner().invoke(main, ["explain", str(model), "--weights", "random:1", "--json"])
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert report["model"] == "small"
    assert {"rule": "fold_batch_norm", "layer": "bn"}.items() <= next(
        d for d in report["decisions"] if d["layer"] == "bn"
    ).items()


def test_a_refused_model_names_every_layer_at_fault(tmp_path: Path) -> None:
    layers = [
        *LAYERS[:1],
        {"class_name": "Conv2D", "config": {"name": "conv", "filters": 4, "kernel_size": 9}},
        {"class_name": "Lambda", "config": {"name": "evil", "function": "os.system"}},
        {"class_name": "Nonsense", "config": {"name": "odd"}},
    ]
    path = write_model(tmp_path / "m.json", layers)
    result = CliRunner().invoke(main, ["explain", str(path), "--weights", "random"])
    assert (result.exit_code, result.stdout) == (1, "")
    lines = result.stderr.splitlines()
    assert sorted(line.partition(": ")[2].split("): ")[0] for line in lines) == [
        "error: layer 'conv' (Conv2D",
        "error: layer 'evil' (Lambda",
        "error: layer 'odd' (Nonsense",
    ]


def test_a_missing_file() -> None:
    result = CliRunner().invoke(main, ["explain", "no.keras"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "convc: error: 'no.keras': there is no such file\n"
