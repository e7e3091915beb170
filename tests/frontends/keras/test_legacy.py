"""Models of Keras 1, Keras 2 and tf.keras, written by hand, against their twins in Keras 3."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from convc import ops
from convc.errors import ConvcError
from convc.frontends.keras import attributes, load
from convc.frontends.keras.legacy import MAX_WRAPPERS
from convc.ir import Graph
from tests.support.configs import Config, layer
from tests.support.keras import feeds, keras, predict, randomise
from tests.tolerances import assert_close

L = keras.layers
ZEROS: Config = {"class_name": "Zeros", "config": {}}
GLOROT: Config = {"class_name": "GlorotUniform", "config": {"seed": None}}


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """These files are sound, or damaged in ways that do not hold up; test_fuzz.py reads in another process."""
    monkeypatch.setattr(attributes, "read", attributes.collect)


def entry(kind: str, name: str, *sources: Any, **config: Any) -> Config:
    """A layer as tf.keras writes it, called once; a source is a name, or [name, call, tensor]."""
    tensors = [[source, 0, 0, {}] if isinstance(source, str) else [*source, {}] for source in sources]
    config = {"name": name, "trainable": True, "dtype": "float32", **config}
    return {"class_name": kind, "config": config, "name": name, "inbound_nodes": [tensors] if tensors else []}


def model2(layers: list[Config], inputs: list[Any], outputs: list[Any], kind: str = "Functional") -> Config:
    config = {"name": "old", "layers": layers, "input_layers": inputs, "output_layers": outputs}
    return {"class_name": kind, "config": config, "keras_version": "2.11.0", "backend": "tensorflow"}


def variables(model: Any) -> list[Any]:
    return [np.asarray(variable.value) for variable in model.weights]


def write(path: Path, config: Config, groups: dict[str, list[Any]], *, version: str | None, backend: str = "") -> Path:
    """A whole model as Keras 1 and 2 write it; `groups` has the variables of each layer of the outermost model."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = np.bytes_(json.dumps(config).encode())
        file.attrs["keras_version"] = np.bytes_(str(version or config.get("keras_version", "1.2.2")).encode())
        weights = file.create_group("model_weights")
        if version is not None:
            weights.attrs["keras_version"] = np.bytes_(version.encode())
            weights.attrs["backend"] = np.bytes_(backend.encode())
        weights.attrs["layer_names"] = np.array([name.encode() for name in groups])
        for name, values in groups.items():
            group = weights.create_group(name)
            names = [f"{name}/w_{index}:0".encode() for index in range(len(values))]
            group.attrs["weight_names"] = np.array(names) if names else np.array([])
            for key, value in zip(names, values, strict=True):
                group[key.decode()] = value
    return path


def same(graph: Graph, twin: Any, kind: str = "reference") -> None:
    inputs = feeds(graph)
    got = ops.evaluate(graph, inputs)
    for node, want in zip(graph.outputs, predict(twin, inputs), strict=True):
        assert_close(got[node], want, kind)


def tf_keras() -> tuple[Config, Any]:
    """A config of tf.keras 2.11 with nested models, and its twin."""
    conv = {
        "filters": 4, "kernel_size": [3, 3], "strides": [2, 2], "padding": "same", "data_format": "channels_last",
        "dilation_rate": [1, 1], "groups": 1, "activation": "linear", "use_bias": True, "kernel_initializer": GLOROT,
        "bias_initializer": ZEROS, "kernel_regularizer": {"class_name": "L2", "config": {"l2": 0.01}},
        "activity_regularizer": None, "kernel_constraint": None, "bias_constraint": None,
    }  # fmt: skip
    norm = {
        "axis": [3], "momentum": 0.99, "epsilon": 0.001, "center": True, "scale": True, "beta_initializer": ZEROS,
        "gamma_initializer": {"class_name": "Ones", "config": {}}, "moving_mean_initializer": ZEROS,
        "moving_variance_initializer": {"class_name": "Ones", "config": {}}, "beta_constraint": None,
    }  # fmt: skip
    inner = entry("Sequential", "inner", ["re_lu", 0, 0], layers=[
        {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 3, 4, 4], "dtype": "float32",
                                                "sparse": False, "ragged": False, "name": "inner_input"}},
        {"class_name": "Conv2D", "config": {**conv, "name": "c", "strides": [1, 1], "dtype": {
            "class_name": "Policy", "config": {"name": "float32"}}, "trainable": False}},
        {"class_name": "BatchNormalization", "config": {**norm, "name": "n"}},
        {"class_name": "LeakyReLU", "config": {"name": "l", "trainable": True, "dtype": "float32", "alpha": 0.25}},
        {"class_name": "Conv2D", "config": {**conv, "name": "c2", "strides": [1, 1], "activation": "elu"}},
    ])  # fmt: skip
    inner["inbound_nodes"].append([["inner", 1, 0, {}]])
    layers = [
        entry("InputLayer", "x", batch_input_shape=[None, 6, 8, 3], sparse=False, ragged=False),
        entry("Conv2D", "block/conv", "x", **conv),
        entry("BatchNormalization", "norm", "block/conv", **norm),
        entry("ReLU", "re_lu", "norm", max_value=6.0, negative_slope={"type": "ndarray", "value": 0.1}, threshold=0.0),
        inner,
        entry("Add", "add", ["inner", 1, 0], ["inner", 2, 0], ["re_lu", 0, 0]),
        entry("UpSampling2D", "up", "add", size=[2, 2], data_format="channels_last", interpolation="nearest"),
        entry("Concatenate", "concat", "up", "up", axis=3),
        entry("Dropout", "drop", "concat", rate=0.5, noise_shape=None, seed=None),
        entry("GlobalAveragePooling2D", "pool", "drop", data_format="channels_last", keepdims=False),
        entry("ThresholdedReLU", "threshold", "pool", theta=0.1),
        entry("Dense", "head", "threshold", units=5, activation="softmax", use_bias=True, kernel_initializer=GLOROT,
              bias_initializer=ZEROS),
    ]  # fmt: skip
    config = model2(layers, [["x", 0, 0]], [["head", 0, 0], ["inner", 2, 0]])
    x = keras.Input((6, 8, 3), name="x")
    y = L.ReLU(6.0, 0.1)(L.BatchNormalization()(L.Conv2D(4, 3, 2, padding="same")(x)))
    part = keras.Sequential(
        [
            keras.Input((3, 4, 4)), L.Conv2D(4, 3, padding="same", trainable=False), L.BatchNormalization(),
            L.LeakyReLU(0.25), L.Conv2D(4, 3, padding="same", activation="elu"),
        ]
    )  # fmt: skip
    once = part(y)
    twice = part(once)
    z = L.UpSampling2D()(L.Add()([once, twice, y]))
    z = L.GlobalAveragePooling2D()(L.Concatenate()([z, z]))
    return config, randomise(keras.Model(x, [L.Dense(5, activation="softmax")(L.ReLU(threshold=0.1)(z)), twice]))


def groups_of(config: Config, twin: Any) -> dict[str, list[Any]]:
    """The variables in the order of Keras 2: what is trained first, within a layer of the outermost model."""
    names = [item["config"]["name"] for item in config["config"]["layers"]]
    stored = iter([part for part in twin.layers if part.weights])
    groups: dict[str, list[Any]] = {}
    for name, item in zip(names, config["config"]["layers"], strict=True):
        has = item["class_name"] in ("Conv2D", "BatchNormalization", "Dense", "Sequential")
        part = next(stored) if has else None
        variables = [*part.trainable_weights, *part.non_trainable_weights] if part is not None else []
        groups[name] = [np.asarray(variable.value) for variable in variables]
    return groups


def test_a_model_of_tf_keras(tmp_path: Path) -> None:
    config, twin = tf_keras()
    path = write(tmp_path / "old.h5", config, groups_of(config, twin), version="2.11.0", backend="tensorflow")
    graph = load(path, batch=2)
    assert graph.output_names == ("head", "inner")
    same(graph, twin)
    np.savez(tmp_path / "w.npz", *variables(twin))
    same(load(config, batch=2, weights=tmp_path / "w.npz"), twin)
    del config["keras_version"]
    same(load(config["config"], batch=2, weights=path), twin)


def test_weights_that_keras_2_saved_alone(tmp_path: Path) -> None:
    config, twin = tf_keras()
    whole = write(tmp_path / "old.h5", config, groups_of(config, twin), version="2.11.0", backend="tensorflow")
    alone = tmp_path / "old.weights.h5"
    with h5py.File(whole) as source, h5py.File(alone, "w") as target:
        for name in source["model_weights"]:
            source.copy(f"model_weights/{name}", target)
        target.attrs.update(source["model_weights"].attrs)
    same(load(json.dumps(config), batch=2, weights=alone), twin)


def test_theano_has_its_kernels_turned_around(tmp_path: Path) -> None:
    config = {"class_name": "Sequential", "keras_version": "2.1.0", "backend": "theano", "config": [
        layer("Conv2D", "c", filters=2, kernel_size=[3, 2], batch_input_shape=[None, 5, 6, 3]),
        layer("DepthwiseConv2D", "d", kernel_size=[2, 2]),
    ]}  # fmt: skip
    twin = randomise(keras.Sequential([keras.Input((5, 6, 3)), L.Conv2D(2, (3, 2)), L.DepthwiseConv2D(2)]))
    kernel, bias, *rest = variables(twin)
    groups = {"c": [kernel[::-1, ::-1], bias], "d": rest}
    same(load(write(tmp_path / "t.h5", config, groups, version="2.1.0", backend="theano"), batch=2), twin)


def keras1(order: str) -> Config:
    """A network of 2016 in the order of Theano or TensorFlow."""
    shape = [None, 3, 8, 9] if order == "th" else [None, 8, 9, 3]
    common = {
        "init": "glorot_uniform",
        "W_regularizer": None,
        "b_regularizer": None,
        "activity_regularizer": None,
        "W_constraint": None,
        "b_constraint": None,
        "bias": True,
        "trainable": True,
        "dim_ordering": order,
    }
    pool = {"strides": [2, 2], "border_mode": "valid", "dim_ordering": order, "trainable": True}
    return {"class_name": "Sequential", "keras_version": "1.2.2", "config": [
        layer("ZeroPadding2D", "zeropadding2d_1", padding=[1, 1], dim_ordering=order, batch_input_shape=shape),
        layer("Convolution2D", "convolution2d_1", nb_filter=4, nb_row=3, nb_col=2, subsample=[1, 1],
              border_mode="valid", activation="relu", **common),
        layer("BatchNormalization", "batchnormalization_1", epsilon=0.001, mode=0, axis=1 if order == "th" else -1,
              momentum=0.99, gamma_regularizer=None, beta_regularizer=None),
        layer("AtrousConvolution2D", "atrousconvolution2d_1", nb_filter=5, nb_row=2, nb_col=2, subsample=[1, 1],
              border_mode="same", activation="linear", atrous_rate=[2, 2], **common),
        layer("MaxPooling2D", "maxpooling2d_1", pool_size=[2, 2], **pool),
        layer("Dropout", "dropout_1", p=0.5),
        layer("Flatten", "flatten_1"),
        layer("Dense", "dense_1", output_dim=6, activation="hard_sigmoid", input_dim=None, **common),
        layer("GaussianNoise", "gaussiannoise_1", sigma=0.1),
        layer("Dense", "dense_2", output_dim=2, activation="softmax", **common),
    ]}  # fmt: skip


@pytest.mark.parametrize("order", ["th", "tf"])
def test_a_network_of_keras_1(order: str, tmp_path: Path) -> None:
    config = keras1(order)
    first = "channels_first" if order == "th" else "channels_last"
    twin = keras.Sequential(
        [
            keras.Input((3, 8, 9) if order == "th" else (8, 9, 3)), L.ZeroPadding2D(1, data_format=first),
            L.Conv2D(4, (3, 2), activation="relu", data_format=first),
            L.BatchNormalization(axis=1 if order == "th" else -1),
            L.Conv2D(5, 2, dilation_rate=2, padding="same", data_format=first), L.MaxPooling2D(data_format=first),
            L.Flatten(), L.Dense(6, activation=lambda x: keras.ops.clip(0.2 * x + 0.5, 0, 1)),
            L.Dense(2, activation="softmax"),
        ]
    )  # fmt: skip
    values = variables(randomise(twin))
    stored = [value.transpose(3, 2, 0, 1) if value.ndim == 4 and order == "th" else value for value in values]
    groups: dict[str, list[Any]] = {item["config"]["name"]: [] for item in config["config"]}
    groups["convolution2d_1"], groups["batchnormalization_1"] = stored[:2], stored[2:6]
    groups["atrousconvolution2d_1"], groups["dense_1"], groups["dense_2"] = stored[6:8], stored[8:10], stored[10:]
    path = write(tmp_path / "old.h5", config, groups, version=None)
    same(load(path, batch=2), twin)
    np.savez(tmp_path / "w.npz", *values)
    same(load(config, batch=2, weights=tmp_path / "w.npz"), twin)


def test_convolutions_of_keras_1_over_one_axis(tmp_path: Path) -> None:
    twin = randomise(keras.Sequential([keras.Input((7, 3)), L.Conv1D(4, 3, strides=2), L.MaxPooling1D(2, 1)]))
    config = {"class_name": "Sequential", "keras_version": "1.1.0", "config": [
        layer("Convolution1D", "c", nb_filter=4, filter_length=3, subsample_length=2, border_mode="valid",
              input_dim=3, input_length=7),
        layer("MaxPooling1D", "m", pool_length=2, stride=1, border_mode="valid"),
    ]}  # fmt: skip
    kernel, bias = variables(twin)
    for stored in (kernel[:, None], kernel[:, None].transpose(3, 2, 0, 1)):
        same(load(write(tmp_path / "old.h5", config, {"c": [stored, bias], "m": []}, version=None), batch=2), twin)


def test_gates_of_keras_1_lie_apart(tmp_path: Path) -> None:
    """Keras 1 has i, c, f, o of an LSTM and z, r, h of a GRU as single variables, and hard sigmoids of its time."""
    twin = randomise(
        keras.Sequential([keras.Input((5, 3)), L.LSTM(4, return_sequences=True), L.GRU(2, reset_after=False)])
    )
    config = {"class_name": "Sequential", "keras_version": "1.2.0", "config": [
        layer("LSTM", "l", output_dim=4, init="glorot_uniform", inner_init="orthogonal", forget_bias_init="one",
              activation="tanh", inner_activation="sigmoid", return_sequences=True, go_backwards=False,
              stateful=False, unroll=False, consume_less="gpu", input_dim=3, input_length=5, dropout_W=0.0),
        layer("GRU", "g", output_dim=2, inner_activation="sigmoid", consume_less="cpu", input_dim=4),
    ]}  # fmt: skip

    def apart(values: list[Any], gates: int) -> list[list[Any]]:
        parts = [np.split(value, gates, axis=-1) for value in values]
        return [[part[gate] for part in parts] for gate in range(gates)]

    values = variables(twin)
    i, f, c, o = apart(values[:3], 4)
    z, r, h = apart(values[3:], 3)
    groups = {"l": [*i, *c, *f, *o], "g": [*z, *r, *h]}
    same(load(write(tmp_path / "old.h5", config, groups, version=None), batch=2), twin)


def test_layers_of_cudnn(tmp_path: Path) -> None:
    twin = randomise(keras.Sequential([keras.Input((5, 3)), L.LSTM(4, return_sequences=True), L.GRU(2)]))
    config = {"class_name": "Sequential", "keras_version": "2.2.0", "config": {"name": "s", "layers": [
        layer("CuDNNLSTM", "l", units=4, return_sequences=True, batch_input_shape=[None, 5, 3]),
        layer("CuDNNGRU", "g", units=2),
    ]}}  # fmt: skip

    def by_rows(kernel: Any, gates: int) -> Any:
        """Each gate's (in, units) as (units, in), row by row, in an array of the old shape."""
        parts = np.split(kernel, gates, axis=1)
        return np.concatenate([part.T.reshape(-1).reshape(part.shape) for part in parts], axis=1)

    k, u, b, gk, gu, gb = variables(twin)
    groups = {
        "l": [by_rows(k, 4), by_rows(u, 4), np.concatenate([0.25 * b, 0.75 * b])],
        "g": [by_rows(gk, 3), by_rows(gu, 3), gb.reshape(-1)],
    }
    same(load(write(tmp_path / "old.h5", config, groups, version="2.2.0", backend="tensorflow"), batch=2), twin)


MERGES: list[tuple[dict[str, Any], Any]] = [
    ({"mode": "sum"}, L.Add()),
    ({"mode": "mul"}, L.Multiply()),
    ({"mode": "ave"}, L.Average()),
    ({"mode": "max"}, L.Maximum()),
    ({"mode": "min"}, L.Minimum()),
    ({"mode": "concat", "concat_axis": 1}, L.Concatenate(1)),
    ({"mode": "concat", "concat_axis": -1}, L.Concatenate()),
    ({"mode": "dot", "dot_axes": [[1], [1]]}, L.Dot(1)),
]


@pytest.mark.parametrize(("config", "merging"), MERGES)
def test_merge_layers_of_keras_1(config: dict[str, Any], merging: Any) -> None:
    x, y = keras.Input((4, 3), name="x"), keras.Input((4, 3), name="y")
    layers: list[Config] = [
        {"class_name": "InputLayer", "name": name, "inbound_nodes": [],
         "config": {"batch_input_shape": [None, 4, 3], "input_dtype": "float32", "sparse": False, "name": name}}
        for name in ("x", "y")
    ]  # fmt: skip
    merge = {"name": "m", "concat_axis": -1, "dot_axes": -1, "mode_type": "raw", "output_shape": None, **config}
    layers.append({"class_name": "Merge", "name": "m", "config": merge, "inbound_nodes": [[["x", 0, 0], ["y", 0, 0]]]})
    old = {"class_name": "Model", "keras_version": "1.2.2", "config": {
        "name": "model_1", "layers": layers, "input_layers": [["x", 0, 0], ["y", 0, 0]], "output_layers": [["m", 0, 0]],
    }}  # fmt: skip
    same(load(old, batch=2), keras.Model([x, y], merging([x, y])))


SHAPES: list[tuple[Config, tuple[int, ...]]] = [
    (layer("Conv2D", "a", filters=2, kernel_size=3, input_shape=[8, 9, 3]), (1, 8, 9, 3)),
    (layer("Conv2D", "a", filters=2, kernel_size=3, batch_input_shape=[None, 8, 9, 3]), (1, 8, 9, 3)),
    (layer("Conv2D", "a", filters=2, kernel_size=3, batch_shape=[4, 8, 9, 3]), (1, 8, 9, 3)),
    (layer("Dense", "a", units=2, input_dim=7), (1, 7)),
    (layer("Dense", "a", output_dim=2, input_dim=7), (1, 7)),
    (layer("Conv1D", "a", filters=2, kernel_size=3, input_dim=7, input_length=5), (1, 5, 7)),
    (layer("LSTM", "a", units=2, input_dim=7, input_length=5), (1, 5, 7)),
    (layer("Embedding", "a", input_dim=7, output_dim=3, input_length=5), (1, 5)),
    (layer("InputLayer", "a", shape=[6]), (1, 6)),
    (layer("InputLayer", "a", input_shape=[6]), (1, 6)),
    (layer("Sequential", "a", layers=[layer("Dense", "b", units=2, input_shape=[5])]), (1, 5)),
]


@pytest.mark.parametrize(("first", "shape"), SHAPES)
def test_the_first_layer_may_bring_the_shape(first: Config, shape: tuple[int, ...]) -> None:
    assert load([first], weights="random").inputs[0].type.shape == shape


def test_names_that_are_missing_are_made_up() -> None:
    layers: list[Any] = [
        {"class_name": "Conv2D", "config": {"filters": 2, "kernel_size": 3, "input_shape": [8, 8, 3]}},
        {"class_name": "BatchNormalization"},
        {"class_name": "Conv2D", "config": {"filters": 2, "kernel_size": 1}},
        {"class_name": "ReLU", "config": {"name": "conv2d_1"}},
        {"class_name": "Convolution2D", "config": {"nb_filter": 3, "nb_row": 1, "nb_col": 1}},
    ]
    graph = load(layers, weights="random")
    assert graph.output_names == ("conv2d_3",)
    origins = {node.origin.name for node in graph.nodes}
    assert {"conv2d_input", "conv2d", "batch_normalization", "conv2d_2", "conv2d_1", "conv2d_3"} <= origins


def test_only_the_required_arguments_are_needed() -> None:
    layers: list[Any] = [
        {"class_name": "ZeroPadding2D", "config": {"input_shape": [8, 8, 3]}},
        {"class_name": "Conv2D", "config": {"filters": 4, "kernel_size": 3}},
        {"class_name": "SeparableConv2D", "config": {"filters": 4, "kernel_size": [3, 3]}},
        {"class_name": "DepthwiseConv2D", "config": {"kernel_size": 2}},
        {"class_name": "MaxPooling2D"},
        {"class_name": "GlobalMaxPooling2D"},
        {"class_name": "Dense", "config": {"units": 2}},
        {"class_name": "Softmax"},
    ]
    assert load(layers, weights="random").outputs[0].type.shape == (1, 2)


@pytest.mark.parametrize(
    ("module", "supported"),
    [
        ("keras.layers.convolutional", True), ("keras.src.layers.core.dense", True), ("tensorflow.keras.layers", True),
        ("tensorflow.python.keras.layers.core", True), ("tf_keras.layers", True), ("keras_core.layers", True),
        ("keras_cv.layers", False), ("tensorflow_addons.layers", False), ("kerasx", False), (7, False),
    ],
)  # fmt: skip
def test_modules_that_are_keras_s_own(module: object, supported: bool) -> None:
    first = {**layer("Dense", "a", units=2, input_dim=3), "module": module}
    if supported:
        load([first], weights="random")
    else:
        with pytest.raises(ConvcError, match="custom layers are not supported"):
            load([first], weights="random")


def test_the_version_decides_what_a_hard_sigmoid_is() -> None:
    def slope(config: Config) -> float:
        (op,) = [node.op for node in load(config).nodes if isinstance(node.op, ops.HardSigmoid)]
        return op.slope

    last = layer("Activation", "a", activation="hard_sigmoid")
    new = {"class_name": "Sequential", "config": {"layers": [layer("InputLayer", "x", batch_shape=[None, 3]), last]}}
    old = {
        "class_name": "Sequential",
        "config": [{**last, "config": {**last["config"], "batch_input_shape": [None, 3]}}],
    }
    assert slope(old) == slope({**new, "keras_version": "2.15.0"}) == slope({**new, "keras_version": "1.0"}) == 0.2
    assert slope(new) == slope({**new, "keras_version": "3.0.0"}) == pytest.approx(1 / 6)


@pytest.mark.parametrize(
    ("first", "message"),
    [
        (layer("BatchNormalization", "a", mode=2, input_dim=3), "this mode is not supported: expected mode 0"),
        (layer("Merge", "a", mode="cos"), "this mode of Merge is not supported: expected sum, mul, concat"),
        (layer("Merge", "a", mode="f", mode_type="lambda"), "this mode of Merge is not supported"),
        (
            layer("Merge", "a", mode="sum", layers=[{}]),
            "it merges the models that it holds: expected a Merge of tensors",
        ),
        (
            layer("InputLayer", "a", batch_input_shape=[None, 3], sparse=True),
            "'sparse' is not supported: expected false",
        ),
        (layer("InputLayer", "a", batch_input_shape=[None, 3], ragged=True), "'ragged' is not supported"),
        (layer("LSTM", "a", units=2, time_major=True), "'time_major' is not supported"),
        (layer("MaxoutDense", "a", output_dim=2), "this layer is not supported"),
    ],
)
def test_what_is_refused_of_old_layers(first: Config, message: str) -> None:
    config: list[Any] = [layer("InputLayer", "x", batch_shape=[None, 3, 3]), first]
    with pytest.raises(ConvcError) as caught:
        load(config[first["class_name"] == "InputLayer" :], weights="random")
    assert message in str(caught.value)
    assert str(caught.value).startswith("layer 'a' (")


def test_wrappers_without_end_are_refused() -> None:
    inner = layer("Dense", "d", units=2)
    for _ in range(MAX_WRAPPERS + 1):
        inner = layer("TimeDistributed", "t", layer=inner)
    with pytest.raises(ConvcError, match="layers are nested too deeply"):
        load([layer("InputLayer", "x", batch_shape=[None, 3, 3]), inner], weights="random")


def test_padding_of_keras_1() -> None:
    for padding in ({"top_pad": 1, "right_pad": 3}, [1, 0, 0, 3], [[1, 0], [0, 3]]):
        graph = load([layer("ZeroPadding2D", "p", padding=padding, input_shape=[4, 5, 2])])
        assert graph.outputs[0].type.shape == (1, 5, 8, 2)
    graph = load([layer("ZeroPadding1D", "p", padding={"left_pad": 2}, input_shape=[4, 5])])
    assert graph.outputs[0].type.shape == (1, 6, 5)
