"""ONNX models on the command line and through the Python interface."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import convc
from convc import api
from convc.cli import main
from convc.errors import ModelError, ShapeError
from convc.verification import verify
from tests.support.onnx_models import model, node
from tests.test_imports import fresh

ROOT = Path(__file__).parent.parent.parent


def network() -> onnx.ModelProto:
    """A convolution, a reshape by a computed shape, and a product."""
    rng = np.random.default_rng(0)
    return model(
        node("Conv", ["image", "w", "b"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        node("Relu", ["c"], ["r"], name="relu"),
        node("Shape", ["r"], ["s"], end=1),
        node("Concat", ["s", "rest"], ["shape"], axis=0),
        node("Reshape", ["r", "shape"], ["f"], name="flatten"),
        node("Gemm", ["f", "g"], ["scores"], name="scores", transB=1),
        inputs={"image": ("batch", 3, "height", "width")},
        outputs=["scores"],
        constants={
            "w": rng.standard_normal((8, 3, 3, 3), np.float32), "b": rng.standard_normal(8, np.float32),
            "rest": [-1], "g": rng.standard_normal((10, 8 * 30), np.float32),
        },
    )  # fmt: skip


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "net.onnx"
    path.write_bytes(network().SerializeToString())
    return path


SHAPE = ("--input", "image=2x3x6x5")


def run(*arguments: object) -> Any:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_compile_run_and_verify(path: Path, tmp_path: Path) -> None:
    library = tmp_path / "net.so"
    done = run("compile", path, "-o", library, "--header", *SHAPE)
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "net.h").exists()
    done = run("verify", library, path, *SHAPE)
    assert done.exit_code == 0, done.stdout + done.stderr
    assert "the library computes what the model says" in done.stdout
    with convc.load(library) as module:
        assert [str(spec.shape) for spec in module.inputs] == ["(2, 3, 6, 5)"]


@pytest.mark.parametrize("form", [lambda made: made, lambda made: made.SerializeToString()], ids=["object", "bytes"])
def test_models_that_are_no_files(form: Any, tmp_path: Path) -> None:
    library = tmp_path / "net.so"
    shapes = {"image": (1, 3, 6, 5)}
    convc.compile(form(network()), library, input_shapes=shapes)
    assert verify(library, form(network()), input_shapes=shapes).ok


def test_inspect_and_explain(path: Path) -> None:
    done = run("inspect", path, "--json", *SHAPE)
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["inputs"] == [{"name": "image", "shape": [2, 3, 6, 5], "dtype": "float32"}]
    assert [group["layers"] for group in report["groups"]] == ["conv", "conv+relu", "flatten", "scores"]
    done = run("explain", path, *SHAPE)
    assert done.exit_code == 0, done.stderr
    assert "conv (Conv)" in done.stdout


def test_the_batch(path: Path) -> None:
    graph = api.read(path, batch=4, input_shapes={"image": (4, 3, 6, 5)})
    assert graph.outputs[0].type.shape == (4, 10)
    with pytest.raises(ShapeError, match="batch 3: no input has this first size"):
        api.read(path, batch=3, input_shapes={"image": (4, 3, 6, 5)})


def test_open_sizes_are_refused_by_name(path: Path) -> None:
    done = run("compile", path)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        "convc: error: input 'image': the model leaves sizes open: got (batch, 3, height, width) "
        "(pass --input image=1x3x224x224, for example)\n"
    )


def test_weights_are_refused(path: Path, tmp_path: Path) -> None:
    done = run("compile", path, "-o", tmp_path / "n.so", "--weights", "random", *SHAPE)
    assert done.exit_code == 1
    assert done.stderr == "convc: error: weights 'random': an ONNX model holds its own (leave the option out)\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["none.onnx", "."])
def test_no_file(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(ModelError, match=r"there is no such file|this is a folder"):
        api.read(tmp_path / name)
    with pytest.raises(ModelError, match=r"this is a folder"):
        api.read(tmp_path / "folder.onnx")


def test_a_library_that_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\x7fELF\x02\x01")
    with pytest.raises(ModelError, match="this is a compiled library, not a model"):
        api.read(tmp_path / "m.onnx")


def test_the_model_is_not_overwritten(path: Path) -> None:
    done = run("compile", path, "-o", path, *SHAPE)
    assert done.exit_code == 1
    assert "this is the model itself" in done.stderr


def test_problems_are_one_line_each(tmp_path: Path) -> None:
    made = model(
        node("Foo\nBar", ["x"], ["a"], name="evil\x1b[2J\nname"),
        node("Loop", ["", "", "a"], ["y"], name="flow", body=onnx.GraphProto()),
        inputs={"x": (2,)},
    )
    (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
    command = [sys.executable, "-m", "convc", "compile", "m.onnx"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("convc: error: node '") for line in lines)
    assert "\x1b" not in done.stderr


def test_reading_a_keras_model_does_not_import_onnx() -> None:
    code = (
        "import sys, convc.api as api\n"
        "layers = [{'class_name': 'InputLayer', 'config': {'name': 'x', 'batch_shape': [None, 2]}}]\n"
        "layers += [{'class_name': 'ReLU', 'config': {'name': 'r'}}]\n"
        "api.read(layers)\n"
        "print('onnx' in sys.modules)"
    )
    done = fresh(code)
    assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr
