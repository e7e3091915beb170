"""Bad input through the command line, in a process of its own: exit 1, a line per problem, nothing left behind."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from convc import api, artifact
from tests.cli.conftest import LAYERS

ROOT = Path(__file__).parent.parent.parent
DIGITS = ROOT / "examples" / "digits" / "digits.keras"


def convc(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "convc", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def refused(done: subprocess.CompletedProcess[str], *texts: str) -> None:
    """Exit 1; on stderr one line per text, which has it; no traceback."""
    assert (done.returncode, done.stdout) == (1, ""), done
    lines = done.stderr.splitlines()
    assert len(lines) == len(texts), done.stderr
    for line, text in zip(lines, texts, strict=True):
        assert line.startswith("convc: error: "), line
        assert text in line
        assert len(line) < 1000


def config(*layers: dict[str, Any]) -> bytes:
    return json.dumps({"class_name": "Sequential", "config": {"name": "net", "layers": layers}}).encode()


def layer(kind: str, name: str, **attributes: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": name, **attributes}}


INPUT = LAYERS[0]


def image(shape: list[Any]) -> dict[str, Any]:
    return layer("InputLayer", "x", batch_shape=shape)


def bomb() -> bytes:
    """A .keras file whose config is zeros in great number."""
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("config.json", bytes(200 << 20))
    return result.getvalue()


MODELS: dict[str, tuple[str, bytes, tuple[str, ...]]] = {
    "empty": ("m.keras", b"", ("m.keras': this is not a Keras model",)),
    "png": ("m.keras", b"\x89PNG\r\n\x1a\n" + bytes(100), ("this is not a Keras model",)),
    "a png that says json": ("m.json", b"\x89PNG\r\n\x1a\n" + bytes(100), ("m.json'",)),
    "truncated": ("m.keras", DIGITS.read_bytes()[:2000], ("truncated or damaged",)),
    "damaged": ("m.keras", DIGITS.read_bytes().replace(b"HDF", b"FDH"), ("",)),
    "no config": ("m.keras", b"PK\x05\x06" + bytes(18), ("config.json",)),
    "two unsupported layers": (
        "m.json",
        config(INPUT, layer("Hologram", "memory", units=3), layer("Oracle", "gaze"), layer("Flatten", "flat")),
        ("layer 'memory' (Hologram)", "layer 'gaze' (Oracle)"),
    ),
    "lambda": (
        "m.json",
        config(INPUT, layer("Lambda", "code", function={"class_name": "__lambda__", "config": {"code": "aW1wb3J0"}})),
        ("layer 'code' (Lambda)",),
    ),
    "window larger than input": (
        "m.json", config(INPUT, layer("Conv2D", "conv", filters=2, kernel_size=[9, 9])), ("layer 'conv' (Conv2D)",),
    ),
    "misfit of two inputs": (
        "m.json", config(INPUT, layer("Reshape", "shape", target_shape=[5, 5])), ("layer 'shape' (Reshape)",),
    ),
    "nan": ("m.json", config(image([None, float("nan"), 4, 2])), ("",)),
    "infinity": ("m.json", config(image([None, float("inf"), 4, 2])), ("",)),
    "negative": ("m.json", config(image([None, -4, 4, 2])), ("",)),
    "zero": ("m.json", config(image([None, 0, 4, 2])), ("",)),
    "a fraction": ("m.json", config(image([None, 4.5, 4, 2])), ("",)),
    "text": ("m.json", config(image([None, "4", 4, 2])), ("",)),
    "gigantic": ("m.json", config(image([None, 1 << 40, 1 << 40, 3])), ("",)),
    "negative filters": ("m.json", config(INPUT, layer("Conv2D", "conv", filters=-2, kernel_size=3)), ("'conv'",)),
    "gigantic filters": (
        "m.json", config(INPUT, layer("Conv2D", "conv", filters=1 << 50, kernel_size=3)),
        ("weight 'kernel' is too large",),
    ),
    "nested": ("m.json", b'{"a":' * 100_000, ("",)),
    "nested lists": ("m.json", b'{"class_name": "Sequential", "config": ' + b"[" * 100_000, ("",)),
    "nested models": ("m.json", b'{"class_name": "Sequential", "config": {"layers": [' * 3000 + b"]}}" * 3000, ("",)),
    "a loop": (
        "m.json",
        json.dumps({"class_name": "Functional", "config": {
            "name": "net", "input_layers": [["x", 0, 0]], "output_layers": [["b", 0, 0]],
            "layers": [{**INPUT, "name": "x", "inbound_nodes": []}] + [
                {**layer("Add", name), "name": name, "inbound_nodes": [[["x", 0, 0, {}], [other, 0, 0, {}]]]}
                for name, other in (("a", "b"), ("b", "a"))
            ]}}).encode(),
        ("model 'net' (Functional): the layers form a loop",),
    ),
    "two of a name": (
        "m.json", config(INPUT, layer("Flatten", "a"), layer("Flatten", "a")), ("two layers have the name 'a'",),
    ),
    "subclassed": ("m.json", b'{"class_name": "MyModel", "config": {}}', ("only Sequential and Functional",)),
    "a function that reads a file": (
        "m.json",
        json.dumps({"class_name": "Functional", "keras_version": "2.9.0", "config": {
            "name": "net", "input_layers": [["x", 0, 0]], "output_layers": [["read", 0, 0]],
            "layers": [{**INPUT, "name": "x", "inbound_nodes": []}, {
                **layer("TFOpLambda", "read", function="io.read_file"), "name": "read",
                "inbound_nodes": [["x", 0, 0, {}]]}]}}).encode(),
        ("layer 'read' (TFOpLambda): the function tf.io.read_file is not supported",),
    ),
    "tflite": ("m.tflite", b"\x1c\0\0\0TFL3" + bytes(50), ("this is a TensorFlow Lite model",)),
    "torch": ("m.pth", b"\x80\x02\x8a\x0al", ("this is a pickle", )),
    "truncated h5": ("m.h5", b"\x89HDF\r\n\x1a\n" + bytes(100), ("m.h5': the file is truncated or damaged",)),
    "a zip bomb": ("m.keras", bomb(), ("config.json expands too far",)),
    "no weights": ("m.json", config(INPUT, layer("Dense", "dense", units=3)), ("weights",)),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_cannot_be_compiled(name: str, tmp_path: Path) -> None:
    file, content, texts = MODELS[name]
    path = tmp_path / file
    path.write_bytes(content)
    drawn = () if file.endswith((".keras", ".h5")) or name == "no weights" else ("--weights", "random:1")
    refused(convc("compile", path, "-o", tmp_path / "out.so", *drawn), *texts)
    assert list(tmp_path.iterdir()) == [path]


def changed_weights(change: Callable[[h5py.File], None]) -> bytes:
    """The digits model after `change` of its weights' file."""
    result = io.BytesIO()
    with zipfile.ZipFile(DIGITS) as source, zipfile.ZipFile(result, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith(".h5"):
                buffer = io.BytesIO(data)
                with h5py.File(buffer, "r+") as file:
                    change(file)
                data = buffer.getvalue()
            target.writestr(name, data)
    return result.getvalue()


def datasets(file: h5py.File) -> list[str]:
    found: list[str] = []
    file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    return found


def remove(file: h5py.File) -> None:
    del file[datasets(file)[0]]


def reshape(file: h5py.File) -> None:
    name = datasets(file)[0]
    del file[name]
    file[name] = np.zeros((2, 3), np.float32)


@pytest.mark.parametrize("change", [remove, reshape])
def test_weights_that_do_not_fit(change: Callable[[h5py.File], None], tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    path.write_bytes(changed_weights(change))
    done = convc("compile", path, "-o", tmp_path / "out.so")
    refused(done, "layer '")
    if change is reshape:
        assert "(2, 3)" in done.stderr
    assert list(tmp_path.iterdir()) == [path]


def h5(change: Callable[[h5py.File], None] = lambda file: None) -> bytes:
    """The small classifier in HDF5, after `change` of the file."""
    shapes: dict[str, list[tuple[int, ...]]] = {
        "conv": [(3, 3, 2, 4), (4,)],
        "bn": [(4,)] * 4,
        "scores": [(4, 7), (7,)],
    }
    result = io.BytesIO()
    with h5py.File(result, "w") as file:
        file.attrs["model_config"] = config(*LAYERS)
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = list(shapes)
        weights.attrs["keras_version"] = "3.0.0"
        for name, own in shapes.items():
            weights.create_group(name).attrs["weight_names"] = [str(index) for index in range(len(own))]
            for index, shape in enumerate(own):
                weights[f"{name}/{index}"] = np.full(shape, 0.5, np.float32)
        change(file)
    return result.getvalue()


def linked(file: h5py.File) -> None:
    del file["model_weights/scores/0"]
    file["model_weights/scores/0"] = h5py.ExternalLink("/etc/passwd", "/")


def absurd(file: h5py.File) -> None:
    del file["model_weights/scores/0"]
    file.create_dataset("model_weights/scores/0", shape=(1 << 40, 1 << 20), dtype="f4", chunks=(1, 1))


def weights_only(file: h5py.File) -> None:
    del file.attrs["model_config"]


def no_json(file: h5py.File) -> None:
    file.attrs["model_config"] = "{'class_name'"


H5: dict[str, tuple[bytes, str]] = {
    "linked": (h5(linked), "layer 'scores' (Dense): the weights hold a link"),
    "absurd": (h5(absurd), "layer 'scores' (Dense): weight 'kernel' expands too far"),
    "weights only": (
        h5(weights_only),
        "holds weights and no model: expected the attribute 'model_config' (compile the",
    ),
    "no json": (h5(no_json), "the config is not JSON"),
    "truncated": (h5()[:3000], "truncated or damaged"),
}


@pytest.mark.parametrize("name", H5)
def test_a_model_in_hdf5_that_cannot_be_compiled(name: str, tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    path.write_bytes(H5[name][0])
    refused(convc("compile", path, "-o", tmp_path / "out.so"), H5[name][1])
    assert list(tmp_path.iterdir()) == [path]


def npz(*values: Any) -> bytes:
    result = io.BytesIO()
    np.savez(result, *values)
    return result.getvalue()


def test_weights_that_cannot_be_used(tmp_path: Path) -> None:
    model = tmp_path / "m.json"
    model.write_bytes(config(*LAYERS))
    cases = {
        "few.npz": (
            npz(np.zeros(3, "f4")),
            "few.npz': not the weights of this model: expected the 8 weights of the model",
        ),
        "pickled.npz": (
            npz(*[np.array([{}], dtype=object)] * 8),
            "layer 'conv' (Conv2D): weight 'kernel' has the wrong",
        ),
        "broken.npz": (npz(np.zeros(3, "f4"))[:100], "truncated or damaged"),
        "w.npy": (b"\x93NUMPY\x01\0" + bytes(50), "w.npy': this is a single array"),
        "m.json": (
            model.read_bytes(),
            "m.json': this is not a Keras model: expected a .weights.h5, .h5, .keras or .npz",
        ),
        "linked.h5": (h5(linked), "layer 'scores' (Dense): the weights hold a link"),
    }
    for name, (content, text) in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        done = convc("compile", model, "-o", tmp_path / "out.so", "--weights", path)
        lines = done.stderr.splitlines()
        assert done.returncode == 1
        assert text in lines[0], done.stderr
        assert all(line.startswith("convc: error: ") for line in lines)
        assert not (tmp_path / "out.so").exists()
    refused(convc("compile", model, "--weights", tmp_path / "none.npz"), "none.npz': the weights cannot be read")
    refused(convc("compile", model, "--weights", "random:x"), "weights='random:x': not understood")


def test_the_weights_are_not_overwritten(tmp_path: Path) -> None:
    model, weights = tmp_path / "m.json", tmp_path / "m.h5"
    model.write_bytes(config(*LAYERS))
    weights.write_bytes(h5())
    refused(convc("compile", model, "--weights", weights, "-o", weights), "this is the file with the weights")
    assert weights.read_bytes() == h5()


def test_models_and_weights_in_every_form_are_verified(tmp_path: Path) -> None:
    whole, model, library = tmp_path / "m.h5", tmp_path / "m.json", tmp_path / "m.so"
    whole.write_bytes(h5())
    model.write_bytes(config(*LAYERS))
    assert convc("compile", whole, "-o", library).returncode == 0
    done = convc("verify", library, model, "--weights", whole)
    assert done.returncode == 0, done.stderr
    assert "the library computes what the model says" in done.stdout
    assert convc("verify", library, model, "--weights", "random:1").returncode == 1


def test_a_saved_model_of_tensorflow_is_named(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"")
    refused(convc("compile", tmp_path, "-o", tmp_path / "out.so"), "this is a SavedModel of TensorFlow")


@pytest.mark.parametrize("command", ["compile", "inspect", "explain"])
def test_a_folder_and_a_missing_file(command: str, tmp_path: Path) -> None:
    refused(convc(command, tmp_path), "this is a folder")
    refused(convc(command, tmp_path / "missing.keras"), "no such file")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bad") / "net.so"
    api.compile(config(*LAYERS).decode(), path, weights="random:1")
    return path


def test_an_artifact_is_no_model(library: Path, tmp_path: Path) -> None:
    refused(convc("compile", library, "-o", tmp_path / "out.so"), "this is a compiled library, not a model")
    refused(convc("explain", library), "this is a compiled library, not a model")
    refused(convc("verify", library, library), "this is a compiled library, not a model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["run", "bench", "profile"])
def test_a_model_is_no_artifact(command: str) -> None:
    refused(convc(command, DIGITS), "not a shared library")


@pytest.mark.parametrize("keep", [0, 10, 63, 64, 5000, -1])
def test_a_truncated_artifact(library: Path, tmp_path: Path, keep: int) -> None:
    path = tmp_path / "net.so"
    path.write_bytes(library.read_bytes()[:keep])
    refused(convc("run", path, "-o", tmp_path / "y.npz"), "net.so")
    assert list(tmp_path.iterdir()) == [path]


def patched(library: Path, folder: Path, old: str, new: str) -> Path:
    """The library with other metadata of the same length."""
    content = library.read_bytes()
    assert len(old) == len(new)
    assert old.encode() in content
    path = folder / "net.so"
    path.write_bytes(content.replace(old.encode(), new.encode()))
    return path


def test_an_artifact_of_another_format(library: Path, tmp_path: Path) -> None:
    path = patched(library, tmp_path, '"format_version":2', '"format_version":9')
    refused(convc("run", path), "compiled by another version of convc: expected format 2, got format 9")


def test_an_artifact_for_another_cpu(library: Path, tmp_path: Path) -> None:
    feature = artifact.read(library).features[0]
    path = patched(library, tmp_path, f'"{feature}"', '"' + "z" * len(feature) + '"')
    refused(convc("run", path), "which this CPU is not")


def test_an_artifact_for_another_architecture(library: Path, tmp_path: Path) -> None:
    content = bytearray(library.read_bytes())
    content[18:20] = (243).to_bytes(2, "little")
    path = tmp_path / "net.so"
    path.write_bytes(content)
    refused(convc("run", path), "net.so")


def test_a_missing_compiler_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "/no/such/compiler")
    model = tmp_path / "m.json"
    model.write_bytes(config(*LAYERS))
    done = convc("compile", model, "-o", tmp_path / "out.so", "--weights", "random:1")
    refused(done, "CC: not a C compiler that runs")
    assert list(tmp_path.iterdir()) == [model]
