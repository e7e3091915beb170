"""Weights that are missing, of the wrong shape, hostile, or drawn. No Keras is needed."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from convc import ops
from convc.errors import ModelError
from convc.frontends.keras import load
from convc.frontends.keras.weights import DRAWN_LIMIT, Drawn
from convc.ir import Array, Graph
from tests.support.configs import called, layer, sequential, tensor

MODEL = sequential(
    layer("Conv2D", "conv", filters=4, kernel_size=3), layer("Flatten", "flat"), layer("Dense", "head", units=2)
)
SHAPES = {
    "layers/conv2d/vars/0": (3, 3, 3, 4),
    "layers/conv2d/vars/1": (4,),
    "layers/dense/vars/0": (144, 2),
    "layers/dense/vars/1": (2,),
}


def pack(folder: Path, change: Callable[[Any], None] = lambda file: None, config: Any = MODEL) -> Path:
    """The path of a .keras file with weights that are right but for `change`."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, shape in SHAPES.items():
            file[name] = np.full(shape, 0.5, np.float32)
        change(file)
    path = folder / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", buffer.getvalue())
    return path


def replace(name: str, **dataset: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file[name]
        file.create_dataset(name, **dataset)

    return change


def remove(*names: str) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        for name in names:
            del file[name]

    return change


def link(name: str, target: object) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file[name]
        file[name] = target

    return change


def group(name: str) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file[name]
        file.create_group(name)

    return change


def problems(path: Path) -> list[str]:
    with pytest.raises(ModelError) as caught:
        load(path)
    return str(caught.value).splitlines()


def weights_of(graph: Graph) -> list[Array]:
    return [node.op.value for node in graph.nodes if isinstance(node.op, ops.Constant)]


def test_weights_are_found(tmp_path: Path) -> None:
    values = weights_of(load(pack(tmp_path)))
    assert [value.shape for value in values] == list(SHAPES.values())
    assert all((value == 0.5).all() for value in values)


def test_the_containers_of_keras_2_13_are_found(tmp_path: Path) -> None:
    path = pack(tmp_path, lambda file: file.move("layers", "_layer_checkpoint_dependencies"))
    assert len(weights_of(load(path))) == 4


def test_all_missing_weights_are_reported(tmp_path: Path) -> None:
    assert problems(pack(tmp_path, remove("layers/conv2d/vars/1", "layers/dense"))) == [
        "layer 'conv' (Conv2D): weight 'bias' is missing: expected (4,) at layers/conv2d/vars/1",
        "layer 'head' (Dense): weight 'kernel' is missing: expected (144, 2) at layers/dense/vars/0",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replace("layers/dense/vars/0", data=np.zeros((2, 144), "f4")), "expected (144, 2), got (2, 144)"),
        (replace("layers/dense/vars/0", data=np.zeros((144, 2), "i4")), "wrong type: expected floating point"),
        (replace("layers/dense/vars/0", data=np.full((144, 2), b"x", "S1")), "wrong type"),
        (replace("layers/dense/vars/0", shape=(144, 2), dtype=h5py.string_dtype()), "wrong type"),
        (link("layers/dense/vars/1", h5py.SoftLink("/layers/conv2d/vars/1")), "a link at /layers/dense/vars/1"),
        (link("layers/dense/vars/1", h5py.ExternalLink("/etc/hostname", "/")), "a link at /layers/dense/vars/1"),
        (link("layers/dense", h5py.ExternalLink("other.h5", "/")), "a link at /layers/dense"),
        (replace("layers/dense/vars/0", shape=(144, 2), dtype="f4", external=[("raw.bin", 0, 1152)]), "is not stored"),
        (lambda file: file.create_dataset("layers/dense/vars/2", data=[1.0]), "more weights than the layer has"),
        (group("layers/dense/vars/0"), "is not stored"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit_are_refused(change: Callable[[Any], None], message: str, tmp_path: Path) -> None:
    (line,) = problems(pack(tmp_path, change))
    assert line.startswith("layer 'head' (Dense): ")
    assert message in line


def test_a_virtual_dataset_is_refused(tmp_path: Path) -> None:
    def change(file: Any) -> None:
        del file["layers/dense/vars/1"]
        layout = h5py.VirtualLayout((2,), "f4")
        layout[:] = h5py.VirtualSource("other.h5", "data", (2,))
        file.create_virtual_dataset("layers/dense/vars/1", layout)

    assert "weight 'bias' is not stored in the file" in problems(pack(tmp_path, change))[0]


def test_a_dataset_that_expands_too_far_is_not_read(tmp_path: Path) -> None:
    config = sequential(layer("Dense", "head", units=1 << 20), shape=(64,))
    change = replace("layers/dense/vars/0", shape=(64, 1 << 20), dtype="f4", chunks=(64, 1 << 12), compression="gzip")
    (line,) = problems(pack(tmp_path, change, config))
    assert "weight 'kernel' expands too far: expected at most 1000 times the 0 bytes stored" in line


@pytest.mark.parametrize("kept", [0, 7, 100, 2000, 3000])
def test_a_truncated_weights_file(kept: int, tmp_path: Path) -> None:
    path = pack(tmp_path)
    with zipfile.ZipFile(path) as archive:
        data = archive.read("model.weights.h5")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(MODEL))
        archive.writestr("model.weights.h5", data[:kept])
    assert problems(path)[0].startswith(f"'{path}': the weights are truncated or damaged")


def test_damaged_weights_never_escape_as_other_errors(tmp_path: Path) -> None:
    path = pack(tmp_path)
    with zipfile.ZipFile(path) as archive:
        data = archive.read("model.weights.h5")
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(data)
        for at in rng.integers(0, len(data), 8):
            damaged[at] ^= int(rng.integers(1, 256))
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", json.dumps(MODEL))
            archive.writestr("model.weights.h5", bytes(damaged))
        with contextlib.suppress(ModelError):
            load(path)


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8"])
def test_other_floating_point_is_converted(dtype: str, tmp_path: Path) -> None:
    bias = np.array([1.5, -2], dtype)
    value = weights_of(load(pack(tmp_path, replace("layers/dense/vars/1", data=bias))))[-1]
    assert value.dtype == np.float32
    assert value.tolist() == [1.5, -2]


def test_bfloat16_is_converted(tmp_path: Path) -> None:
    def change(file: Any) -> None:
        del file["layers/dense/vars/1"]
        bits = (np.array([1.5, -2], "<f4").view("<u4") >> 16).astype("<u2")
        file.create_dataset("layers/dense/vars/1", data=bits.view("V2")).attrs["dtype"] = "bfloat16"

    assert weights_of(load(pack(tmp_path, change)))[-1].tolist() == [1.5, -2]


def test_drawn_weights_are_reproducible_and_differ_between_layers_and_seeds() -> None:
    config = sequential(layer("Dense", "a", units=3), layer("Dense", "b", units=3), shape=(3,))
    one, again, other = (weights_of(load(config, weights=w)) for w in ("random:1", "random:1", "random:2"))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not np.array_equal(one[0], other[0])
    assert not np.array_equal(one[0], one[2])
    assert np.array_equal(
        weights_of(load(config, weights="random"))[0], weights_of(load(config, weights="random:0"))[0]
    )


@pytest.mark.parametrize("option", ["", "rand", "random:", "random:x", "random:-1", "random:" + "9" * 30])
def test_a_weights_option_that_makes_no_sense(option: str) -> None:
    with pytest.raises(ModelError, match="not understood: expected random or random:SEED"):
        Drawn.parse(option)


def test_weights_too_large_to_be_drawn_are_refused() -> None:
    config = sequential(layer("Dense", "a", units=DRAWN_LIMIT), shape=(2,))
    with pytest.raises(ModelError, match=r"layer 'a' \(Dense\): weight 'kernel' is too large to be drawn"):
        load(config, weights="random")


ATTENTION = {
    **sequential(shape=(5, 8)),
    "class_name": "Functional",
    "config": {
        "name": "model",
        "layers": [
            called(layer("InputLayer", "x", batch_shape=[None, 5, 8])),
            {
                **called(layer("MultiHeadAttention", "heads", num_heads=2, key_dim=3)),
                "inbound_nodes": [{"args": [tensor("x"), tensor("x")], "kwargs": {}}],
            },
        ],
        "input_layers": ["x", 0, 0],
        "output_layers": ["heads", 0, 0],
    },
}
PARTS = {"query": ((8, 2, 3), (2, 3)), "key": ((8, 2, 3), (2, 3)), "value": ((8, 2, 3), (2, 3)),
         "output": ((2, 3, 8), (8,))}  # fmt: skip


def pack_parts(folder: Path, change: Callable[[Any], None] = lambda file: None) -> Path:
    """The path of a .keras file with a layer whose weights lie with the layers inside it."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_group("layers/multi_head_attention/vars")
        for number, (part, shapes) in enumerate(PARTS.items()):
            for index, shape in enumerate(shapes):
                file[f"layers/multi_head_attention/{part}_dense/vars/{index}"] = np.full(shape, number, np.float32)
        change(file)
    path = folder / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(ATTENTION))
        archive.writestr("model.weights.h5", buffer.getvalue())
    return path


def test_weights_of_layers_inside_a_layer_are_found(tmp_path: Path) -> None:
    graph = load(pack_parts(tmp_path))
    kernels = [node.inputs[1].op for node in graph.nodes if isinstance(node.op, ops.Dense)]
    assert sorted(float(kernel.value.mean()) for kernel in kernels if isinstance(kernel, ops.Constant)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (remove("layers/multi_head_attention/key_dense"),
         "weight 'key/kernel' is missing: expected (8, 2, 3) at layers/multi_head_attention/key_dense/vars/0"),
        (remove("layers/multi_head_attention/output_dense/vars/1"),
         "weight 'output/bias' is missing: expected (8,) at layers/multi_head_attention/output_dense/vars/1"),
        (lambda file: file.create_dataset("layers/multi_head_attention/value_dense/vars/2", data=[1.0]),
         "there are more weights than the layer has: expected value/kernel, value/bias"),
        (replace("layers/multi_head_attention/query_dense/vars/0", data=np.zeros((8, 6), "f4")),
         "weight 'query/kernel' has the wrong shape: expected (8, 2, 3), got (8, 6)"),
    ],
)  # fmt: skip
def test_weights_inside_a_layer_that_do_not_fit(change: Callable[[Any], None], message: str, tmp_path: Path) -> None:
    (line,) = problems(pack_parts(tmp_path, change))
    assert line.startswith("layer 'heads' (MultiHeadAttention): ")
    assert message in line
