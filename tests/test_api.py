"""The Python interface: what it accepts, what it refuses, and that a failure leaves nothing behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convc
from convc import api
from convc import target as targets
from convc.build.program import Program
from convc.errors import ConvcError, ModelError, ShapeError, TargetError, UnsupportedError
from convc.ops import Constant, evaluate
from tests.tolerances import assert_close

LAYERS: list[dict[str, Any]] = [
    {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 4, 4, 2], "dtype": "float32"}},
    {"class_name": "Conv2D", "config": {"name": "conv", "filters": 3, "kernel_size": [3, 3], "activation": "relu"}},
    {"class_name": "Flatten", "config": {"name": "flatten"}},
    {"class_name": "Dense", "config": {"name": "dense", "units": 5, "activation": "softmax"}},
]


@pytest.mark.parametrize(
    ("name", "content", "kind", "message"),
    [
        ("m.onnx", b"\x08\x09", ModelError, r"m\.onnx': this is not an ONNX model: expected a graph"),
        ("m.onnx", b"hello", ModelError, r"m\.onnx': this is not an ONNX model, or it is truncated"),
        ("m.so", b"\x7fELF\x02\x01", ModelError, "this is a compiled library, not a model"),
        ("m.pb", b"hello", ModelError, r"m\.pb': this is a TensorFlow graph"),
        ("m.bin", b"hello", ModelError, r"m\.bin': this is not a Keras model"),
        ("m.keras", b"", ModelError, r"m\.keras': this is not a Keras model"),
        ("m.keras", b"PK\x03\x04 and then nothing", ModelError, "truncated or damaged"),
        ("m.h5", b"\x89HDF\r\n\x1a\n", ModelError, "the file is truncated or damaged"),
        ("m.json", b'{"class_name": "Functi', ModelError, "the config is not JSON"),
    ],
)
def test_a_foreign_or_damaged_file(
    tmp_path: Path, name: str, content: bytes, kind: type[ConvcError], message: str
) -> None:
    path, output = tmp_path / name, tmp_path / "out.so"
    path.write_bytes(content)
    with pytest.raises(kind, match=message) as caught:
        api.compile(path, output)
    assert not output.exists()
    assert all("\n" not in str(problem) for problem in caught.value.problems)


@pytest.mark.parametrize("what", ["missing.keras", "."])
def test_no_file(tmp_path: Path, what: str) -> None:
    with pytest.raises(ModelError, match=r"no such file|this is a folder"):
        api.read(tmp_path / what)


@pytest.mark.parametrize("model", [None, 7, object()])
def test_not_a_model(model: object) -> None:
    with pytest.raises(ModelError, match=r"not something to compile: expected a \.keras"):
        api.read(model)


@pytest.mark.parametrize("batch", [0, -1])
def test_a_batch_is_positive(batch: int) -> None:
    with pytest.raises(ShapeError, match="batch: not a batch size: expected 1 or more"):
        api.read(LAYERS, batch=batch)


def test_an_unknown_precision(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="precision 'int8': unknown precision: expected float32, tf32, float16"):
        api.compile(LAYERS, tmp_path / "m.so", precision="int8")


@pytest.mark.parametrize("precision", ["tf32", "float16", "bfloat16"])
def test_a_cpu_computes_in_float32(precision: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=f"precision '{precision}': is for GPUs.*--target cuda"):
        api.compile(LAYERS, tmp_path / "m.so", precision=precision)


def test_bfloat16_needs_ampere(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="older GPUs do not have it: expected sm_80 or newer, got cuda:sm_75"):
        api.compile(LAYERS, tmp_path / "m.so", target="cuda:sm_75,sm_90", precision="bfloat16")


@pytest.mark.parametrize("name", ["cuda:", "cuda:sm_9", "cuda:90", "cuda:sm_80;sm_90"])
def test_unknown_architectures_of_gpus(name: str, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="unknown architecture of GPUs: expected sm_75, sm_80"):
        api.compile(LAYERS, tmp_path / "m.so", target=name)


def test_an_unknown_target(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="target 'z80': unknown target"):
        api.compile(LAYERS, tmp_path / "m.so", target="z80")


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConvcError, match="this is a folder"):
        api.compile(LAYERS, tmp_path)
    with pytest.raises(ConvcError, match="there is no folder"):
        api.compile(LAYERS, tmp_path / "no" / "m.so")
    model = tmp_path / "m.json"
    model.write_text("[]")
    with pytest.raises(ConvcError, match="this is the model itself"):
        api.compile(model, model)
    assert model.read_text() == "[]"
    with pytest.raises(ConvcError, match="this is the header's name"):
        api.compile(LAYERS, tmp_path / "m.h", header=True)


def test_the_text_of_a_config_is_a_model() -> None:
    text = json.dumps({"class_name": "Sequential", "config": {"name": "net", "layers": LAYERS}})
    assert api.read(text, weights="random:1").name == "net"


def test_keras_models_are_told_without_importing_keras() -> None:
    base = type("Model", (), {"__module__": "keras.src.models.model"})
    assert api._is_keras_model(type("Functional", (base,), {"__module__": "elsewhere"})())
    assert not api._is_keras_model(type("Model", (), {"__module__": "kerasx.models"})())


def test_is_artifact(tmp_path: Path) -> None:
    (tmp_path / "a.so").write_bytes(b"\x7fELF\x02")
    (tmp_path / "b.so").write_bytes(b"\x7f")
    assert api.is_artifact(tmp_path / "a.so")
    assert not api.is_artifact(tmp_path / "b.so")
    with pytest.raises(ModelError, match="no such file"):
        api.is_artifact(tmp_path / "c.so")


OPEN: list[dict[str, Any]] = [
    {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, None, None, 2]}},
    *LAYERS[1:2],
]


def test_open_sizes_are_bound_with_the_batch() -> None:
    graph = api.read(OPEN, batch=2, weights="random:1", input_shapes={"x": (2, 8, 6, 2)})
    assert graph.inputs[0].type.shape == (2, 8, 6, 2)
    with pytest.raises(ModelError, match="leaves sizes open"):
        api.read(OPEN, weights="random:1")


@pytest.mark.parametrize("shape", [(8, 6, 2), (1, 8, 6, 2), ()])
def test_a_shape_begins_with_the_batch(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="input 'x': its shape does not begin with the batch size: expected 2"):
        api.read(OPEN, batch=2, weights="random:1", input_shapes={"x": shape})


def test_compile_and_run(tmp_path: Path) -> None:
    calls: list[tuple[int, int, str]] = []
    path = tmp_path / "net.so"
    report = convc.compile(
        LAYERS, path, batch=2, weights="random:3", header=True, progress=lambda *call: calls.append(call)
    )
    assert report.output == path
    assert report.header == tmp_path / "net.h"
    assert sorted(tmp_path.iterdir()) == [report.header, path]
    assert report.library_bytes == path.stat().st_size
    assert 0 < report.kernels <= report.groups
    assert json.loads(json.dumps(report.summary()))["output"] == str(path)
    assert calls[0] == (0, 1, "reading the model")
    assert all(0 <= done <= total for done, total, _ in calls)
    graph = api.read(LAYERS, batch=2, weights="random:3")
    x = np.random.default_rng(5).standard_normal((2, 4, 4, 2)).astype(np.float32)
    with convc.load(path, threads=1) as module:
        (spec,) = module.inputs
        assert (spec.name, spec.shape) == ("x", (2, 4, 4, 2))
        y = module(x)
    assert_close(np.asarray(y), evaluate(graph, {"x": x})[graph.outputs[0]])


WIDE: list[dict[str, Any]] = [
    {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 28, 28, 32]}},
    {"class_name": "Conv2D", "config": {"name": "conv", "filters": 32, "kernel_size": 3, "padding": "same"}},
]
"""A layer that Winograd's algorithm is chosen for."""


@pytest.mark.parametrize("exact", [True, False])
def test_exact_excludes_winograd(tmp_path: Path, programs: list[Program], exact: bool) -> None:
    path, target = tmp_path / "net.so", targets.resolve("x86-64-v3")
    report = convc.compile(WIDE, path, target=target.name, weights="random:3", exact=exact)
    (program,) = programs
    assert len(program.expansions) == (0 if exact else 1)
    assert report.weights_bytes == (9 * 32 * 32 + 32) * 4
    if target.arch != targets.host_arch() or not set(target.features) <= targets.host_features():
        return
    graph = api.read(WIDE, weights="random:3")
    x = np.random.default_rng(5).standard_normal((1, 28, 28, 32)).astype(np.float32)
    with convc.load(path) as module:
        got = np.asarray(module(x))
    assert_close(got, evaluate(graph, {"x": x})[graph.outputs[0]], "kernel" if exact else "winograd")


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(done: int, total: int, what: str) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convc.compile(LAYERS, tmp_path / "net.so", weights="random", header=True, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


# Keras 3.15 turns its variables into arrays in a way that NumPy 2 warns of.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
def test_a_model_in_memory(tmp_path: Path) -> None:
    from tests.support.keras import keras, predict, randomise, sequential

    layers = keras.layers.Conv2D(5, 3, activation="relu"), keras.layers.GlobalMaxPooling2D(), keras.layers.Dense(4)
    model = randomise(sequential((6, 6, 3), *layers))
    x = np.random.default_rng(6).standard_normal((1, 6, 6, 3)).astype(np.float32)
    convc.compile(model, tmp_path / "net.so")
    with convc.load(tmp_path / "net.so") as module:
        assert_close(np.asarray(module(x)), predict(model, {"input": x})[0])


def test_a_model_in_memory_that_cannot_be_saved_is_refused() -> None:
    class Model:
        """Stands for a keras.Model of the user's own."""

        name = "mine"

        def save(self, path: Path) -> None:
            raise NotImplementedError("get_config()\nis missing")

    for module in ("keras.src.models.model", "tf_keras.src.engine.training", "tensorflow.python.keras.engine.training"):
        Model.__module__ = module
        with pytest.raises(ModelError) as caught:
            api.read(Model())
        assert str(caught.value) == "model 'mine': Keras cannot save it: got get_config() is missing"


def test_weights_beside_a_config(tmp_path: Path) -> None:
    graph = api.read(LAYERS, weights="random:3")
    drawn = [node.op.value for node in graph.nodes if isinstance(node.op, Constant)]
    np.savez(tmp_path / "w.npz", *drawn)
    for weights in (tmp_path / "w.npz", str(tmp_path / "w.npz")):
        other = api.read(json.dumps(LAYERS), weights=weights)
        values = [node.op.value for node in other.nodes if isinstance(node.op, Constant)]
        assert all(np.array_equal(a, b) for a, b in zip(drawn, values, strict=True))
    with pytest.raises(ConvcError, match="this is the file with the weights"):
        convc.compile(LAYERS, tmp_path / "w.npz", weights=tmp_path / "w.npz")
