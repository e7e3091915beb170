"""Seeded damage to valid configs and files: whatever comes is a graph or a ConvcError, soon and in little memory."""

from __future__ import annotations

import copy
import io
import json
import math
import resource
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from convc.errors import ConvcError, ModelError, Problem
from convc.frontends.keras import attributes, load
from tests.support.configs import Config, called, functional, layer, sequential, tensor

SECONDS = 5.0
"""The longest that one file or config may take on a loaded machine."""
MEMORY = 1 << 30
"""Bytes by which the process may grow in a test: what is stored is some kilobytes."""

JUNK: list[Any] = [
    None,
    True,
    False,
    -1,
    0,
    1,
    3,
    2**31,
    2**40,
    2**63,
    10**400,
    0.5,
    -0.0,
    1e-300,
    1e300,
    math.nan,
    math.inf,
    "",
    "x",
    "same",
    "relu",
    "\x1b[31m",
    "9" * 5000,
    [],
    [[]],
    [None],
    [0, 0],
    [1, 2, 3],
    [2**40] * 4,
    [None, 2**40],
    {},
    {"class_name": "x"},
    {"class_name": "Dense", "config": {}},
    {"class_name": "__tuple__", "items": [1]},
    {"class_name": "__numpy__"},
    {"class_name": "__keras_tensor__", "config": {"keras_history": ["x", 0, 0]}},
    ["x", 0, 0],
    ["x", -1, 0],
    [["x", 0, 0, {}]],
    {"type": "ndarray", "value": [1]},
    "Lambda",
    "TFOpLambda",
    "Sequential",
    "InputLayer",
    [[[[[[[[[[1]]]]]]]]]],
]


def modern_config() -> Config:
    """A config of Keras 3 with most of what one may hold."""
    x = called(layer("InputLayer", "x", batch_shape=[None, 6, 6, 3]))
    inner = sequential(layer("Dense", "d", units=2, activation="relu"), shape=(None, 2), name="s")
    lstm = layer("LSTM", "l", units=2, recurrent_initializer={"class_name": "Orthogonal", "config": {"gain": 1.0}})
    times = {**called(layer("Multiply", "times"), "r"), "module": "keras.src.ops.numpy"}
    times["inbound_nodes"][0]["args"].append(2.0)
    cut = {**called(layer("GetItem", "cut"), "b"), "module": "keras.src.ops.numpy"}
    cut["inbound_nodes"][0]["args"].append(
        [{"class_name": "__slice__", "config": {"start": 0, "stop": 1, "step": None}}]
    )
    wrapped = layer("TimeDistributed", "t", layer=layer("Dense", "u", units=2))
    return functional(
        x,
        called(layer("Conv2D", "c", filters=3, kernel_size=[3, 3], strides=[1, 1], padding="same", groups=1), "x"),
        called(layer("BatchNormalization", "b", axis=[3], epsilon=0.001), "c"),
        called(layer("Add", "a"), "b", "x"),
        called(layer("MaxPooling2D", "m", pool_size=[2, 2], data_format="channels_first"), "a"),
        called(layer("ZeroPadding2D", "z", padding=[[1, 0], [0, 1]]), "m"),
        called(layer("Reshape", "r", target_shape=[-1, 2]), "z"),
        times,
        called(inner, "times"),
        called(wrapped, "s"),
        called(lstm, "t"),
        cut,
        called(layer("Conv2DTranspose", "ct", filters=2, kernel_size=2, strides=2), "a"),
        called(layer("UpSampling2D", "up", size=2, interpolation="bilinear"), "a"),
        called(layer("LayerNormalization", "ln"), "a"),
        inputs=["x", 0, 0],
        outputs={"l": ["l", 0, 0], "ct": ["ct", 0, 0], "up": ["up", 0, 0], "ln": ["ln", 0, 0], "cut": ["cut", 0, 0]},
    )


def old_config() -> Config:
    """One of Keras 2 with functions of TensorFlow, and layers of Keras 1."""

    def entry(kind: str, name: str, nodes: Any, **config: Any) -> Config:
        return {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": nodes}

    layers = [
        entry("InputLayer", "x", [], batch_input_shape=[None, 6, 6, 3], sparse=False),
        entry("Convolution2D", "c", [[["x", 0, 0, {}]]], nb_filter=3, nb_row=2, nb_col=2, border_mode="same",
              dim_ordering="tf", init="uniform", subsample=[1, 1]),
        entry("TFOpLambda", "add", [["c", 0, 0, {"y": ["x", 0, 0], "name": None}]], function="__operators__.add"),
        entry("SlicingOpLambda", "cut", [["add", 0, 0, {"slice_spec": [{"start": 0, "stop": None, "step": None}]}]],
              function="__operators__.getitem"),
        entry("TFOpLambda", "concat", [[["add", 0, 0, {"axis": 3}], ["x", 0, 0, {"axis": 3}]]], function="concat"),
        entry("TensorFlowOpLayer", "mean", [[["concat", 0, 0, {}]]], constants={"1": [1, 2]},
              node_def={"op": "Mean", "attr": {"keep_dims": {"b": True}}}),
        entry("Sequential", "s", [[["mean", 0, 0, {}]]], layers=[
            layer("ZeroPadding2D", "p", padding={"top_pad": 1}, batch_input_shape=[None, 1, 1, 6]),
            layer("LeakyReLU", "l", alpha={"type": "ndarray", "value": 0.3})]),
        entry("Merge", "m", [[["s", 1, 0, {}], ["s", 1, 0, {}]]], mode="sum", concat_axis=-1),
    ]  # fmt: skip
    config = {"name": "old", "layers": layers, "input_layers": [["x", 0, 0]],
              "output_layers": [["m", 0, 0], ["cut", 0, 0]]}  # fmt: skip
    return {"class_name": "Model", "keras_version": "2.3.0", "config": config}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def at(config: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        config = config[key]
    return config


def mutated(config: Config, rng: np.random.Generator) -> Config:
    """The config with one to three values replaced, removed, or exchanged for others of its own."""
    config = copy.deepcopy(config)
    for _ in range(int(rng.integers(1, 4))):
        known = list(places(config))
        if not known:
            break
        path = known[int(rng.integers(len(known)))]
        parent, action = at(config, path[:-1]), rng.integers(8)
        if action == 0:
            del parent[path[-1]]
        elif action == 1:
            parent[path[-1]] = copy.deepcopy(at(config, known[int(rng.integers(len(known)))]))
        elif action == 2 and isinstance(parent[path[-1]], list):
            parent[path[-1]] = parent[path[-1]] * 2
        else:
            parent[path[-1]] = copy.deepcopy(JUNK[int(rng.integers(len(JUNK)))])
    return config


def survives(source: Any, **options: Any) -> None:
    """Loads, and lets a ConvcError of printable single lines pass."""
    started = time.perf_counter()
    problems: Sequence[Problem] = ()
    try:
        load(source, **options)
    except ConvcError as error:
        problems = error.problems
    for problem in problems:
        assert problem.subject, problem
        assert "\n" not in str(problem)
        assert len(str(problem)) < 1500
    assert time.perf_counter() - started < SECONDS + attributes.SECONDS


@pytest.fixture(autouse=True)
def bounded_memory() -> Iterator[None]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < MEMORY


def fuzz_config(make: Callable[[], Config], seed: int, rounds: int) -> None:
    config = make()
    load(config, weights="random")
    rng = np.random.default_rng(seed)
    for _ in range(rounds):
        survives(mutated(config, rng), weights="random")


@pytest.mark.parametrize("make", [modern_config, old_config])
def test_configs(make: Callable[[], Config]) -> None:
    fuzz_config(make, 0, 150)


@pytest.mark.slow
@pytest.mark.parametrize("make", [modern_config, old_config])
@pytest.mark.parametrize("seed", range(1, 11))
def test_many_configs(make: Callable[[], Config], seed: int) -> None:
    fuzz_config(make, seed, 500)


NET = sequential(
    layer("Conv2D", "conv", filters=4, kernel_size=3), layer("BatchNormalization", "norm"),
    sequential(layer("Dense", "inner_dense", units=2), shape=(6, 6, 4), name="inner"), layer("Dense", "head", units=2),
)  # fmt: skip
VARIABLES: dict[str, list[tuple[str, tuple[int, ...]]]] = {
    "conv": [("kernel", (3, 3, 3, 4)), ("bias", (4,))],
    "norm": [(name, (4,)) for name in ("gamma", "beta", "moving_mean", "moving_variance")],
    "inner": [("inner_dense/kernel", (4, 2)), ("inner_dense/bias", (2,))],
    "head": [("kernel", (2, 2)), ("bias", (2,))],
}
PATHS = {"conv": "conv2d", "norm": "batch_normalization", "inner": "sequential/layers/dense", "head": "dense"}


def values() -> Iterator[tuple[str, str, Any]]:
    """(layer, weight, value) of the network in the order of Keras."""
    for name, weights in VARIABLES.items():
        for weight, shape in weights:
            yield name, weight, np.full(shape, 0.5, np.float32)


def h5_model(whole: bool = True) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        group = file.create_group("model_weights") if whole else file
        if whole:
            file.attrs["model_config"] = json.dumps(NET)
            file.attrs["keras_version"] = "3.15.1"
        group.attrs["keras_version"] = "3.15.1"
        group.attrs["layer_names"] = [name.encode() for name in VARIABLES]
        for name, weights in VARIABLES.items():
            group.create_group(name).attrs["weight_names"] = [weight.encode() for weight, _ in weights]
        for name, weight, value in values():
            group[f"{name}/{weight}"] = value
    return buffer.getvalue()


def weights_h5() -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        counts: dict[str, int] = {}
        for name, _, value in values():
            number = counts.get(name, 0)
            counts[name] = number + 1
            kwargs = {"compression": "gzip"} if number else {}
            file.create_dataset(f"layers/{PATHS[name]}/vars/{number}", data=value, **kwargs)
    return buffer.getvalue()


def keras_file() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("config.json", json.dumps(NET))
        file.writestr("metadata.json", '{"keras_version": "3.15.1"}')
        file.writestr("model.weights.h5", weights_h5())
    return buffer.getvalue()


def npz(*, named: bool) -> bytes:
    buffer = io.BytesIO()
    if named:
        np.savez_compressed(buffer, **{f"{name}/{weight}": value for name, weight, value in values()})
    else:
        np.savez(buffer, *(value for _, _, value in values()))
    return buffer.getvalue()


FILES: dict[str, tuple[str, bytes]] = {
    "m.h5": ("model", h5_model()), "m.keras": ("model", keras_file()), "m.json": ("model", json.dumps(NET).encode()),
    "old.h5": ("weights", h5_model(whole=False)), "w.weights.h5": ("weights", weights_h5()),
    "flat.npz": ("weights", npz(named=False)), "named.npz": ("weights", npz(named=True)),
}  # fmt: skip


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Bits flipped, bytes replaced, a part cut out or doubled, or the end cut off."""
    changed = bytearray(data)
    action = rng.integers(6)
    start = int(rng.integers(len(data)))
    length = int(rng.integers(1, 64))
    if action == 0:
        return bytes(changed[:start])
    if action == 1:
        del changed[start : start + length]
    elif action == 2:
        changed[start:start] = changed[start : start + length]
    elif action == 3:
        changed[start : start + length] = bytes(rng.choice([0, 255]) for _ in range(length))
    else:
        for place in rng.integers(0, len(data), int(rng.integers(1, 9))):
            changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def fuzz_file(name: str, folder: Path, seed: int, rounds: int) -> None:
    role, data = FILES[name]
    path = folder / name
    path.write_bytes(data)

    def check(read: Callable[..., object]) -> None:
        if role == "model":
            read(path, **({"weights": "random"} if name.endswith(".json") else {}))
        else:
            read(NET, weights=path)

    check(load)
    rng = np.random.default_rng(seed)
    for _ in range(rounds):
        path.write_bytes(damaged(data, rng))
        check(survives)


@pytest.mark.parametrize("name", FILES)
def test_files(name: str, tmp_path: Path) -> None:
    fuzz_file(name, tmp_path, 0, 6 if name in ("m.h5", "old.h5") else 40)  # those start a process each


def test_a_string_that_claims_to_be_very_long_does_not_hold_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """libhdf5 2.0 copies what such an attribute claims, for minutes or without end."""
    monkeypatch.setattr(attributes, "SECONDS", 4)
    heap = (FILES["m.h5"][1].find(b"GCOL")).to_bytes(8, "little")
    for length in (0xFFFFFFFF, 0x3FFFFFFF):
        data = bytearray(FILES["m.h5"][1])
        at = data.find(heap)
        assert at > 0
        while at > 0:
            data[at - 4 : at] = length.to_bytes(4, "little")
            at = data.find(heap, at + 1)
        (tmp_path / "m.h5").write_bytes(data)
        started = time.perf_counter()
        with pytest.raises(ModelError, match=r"m\.h5': the file is truncated or damaged"):
            load(tmp_path / "m.h5")
        assert time.perf_counter() - started < 20


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("seed", range(1, 6))
def test_many_files(name: str, seed: int, tmp_path: Path) -> None:
    fuzz_file(name, tmp_path, seed, 40 if name in ("m.h5", "old.h5") else 400)


def test_python_objects_of_any_kind() -> None:
    """Configs need not come from JSON: objects that hold themselves, sets, functions, arrays of objects."""
    endless: list[Any] = []
    endless.append(endless)
    table: dict[str, Any] = {}
    table["config"] = table["layers"] = table
    deep: Any = 1
    for _ in range(5_000):
        deep = {"class_name": "Sequential", "config": {"layers": [deep]}}
    odd = [
        endless,
        table,
        deep,
        {1, 2},
        object(),
        len,
        b"x",
        np.array([{}], dtype=object),
        np.float32(3),
        (1, (2,)),
        range(3),
    ]
    for value in odd:
        for path in (
            ("config", "layers", 1, "config", "filters"),
            ("config", "layers", 1),
            ("config", "layers"),
            ("config",),
            ("class_name",),
            ("config", "layers", 0, "config", "batch_shape"),
            ("config", "layers", 1, "config", "name"),
            ("config", "layers", 1, "config", "kernel_initializer"),
            ("config", "layers", 1, "inbound_nodes"),
        ):
            config = copy.deepcopy(NET)
            at(config, path[:-1])[path[-1]] = value
            survives(config, weights="random")
    survives(endless, weights="random")
    survives(table, weights="random")
    survives(deep, weights="random")


def test_numbers_of_numpy_are_numbers() -> None:
    config = copy.deepcopy(NET)
    config["config"]["layers"][1]["config"].update(filters=np.int64(4), kernel_size=(np.int32(3), 3))
    assert load(config, weights="random").outputs[0].type.shape == (1, 6, 6, 2)


def test_a_reference_to_a_tensor_that_is_none() -> None:
    config = functional(
        called(layer("InputLayer", "x", batch_shape=[None, 4])), called(layer("Dense", "d", units=2), "x"),
        inputs=["x", 0, 0], outputs=["d", 0, 10**12],
    )  # fmt: skip
    survives(config, weights="random")
    config["config"]["layers"][1]["inbound_nodes"][0]["args"][0] = tensor("x", 10**12)
    survives(config, weights="random")
