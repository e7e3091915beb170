"""Configs that are damaged, foreign or hostile, and those of Keras 2. No Keras is needed."""

from __future__ import annotations

import contextlib
import copy
import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from convc import ops
from convc.errors import ConvcError, ModelError, ShapeError, UnsupportedError
from convc.frontends.keras import load
from convc.frontends.keras.structure import MAX_NESTING, snake_case
from convc.ir import Graph
from tests.support.configs import Config, called, functional, layer, sequential, tensor

SOURCE = called(layer("InputLayer", "x", batch_shape=[None, 4]))


def drawn(config: Any, **options: Any) -> Graph:
    return load(config, weights="random", **options)


def problems(config: Any, **options: Any) -> list[str]:
    with pytest.raises(ConvcError) as caught:
        drawn(config, **options)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("class_name", "path"),
    [("Conv2D", "conv2d"), ("BatchNormalization", "batch_normalization"), ("ReLU", "re_lu"), ("PReLU", "p_re_lu")],
)
def test_variable_paths_are_spelt_as_keras_spells_them(class_name: str, path: str) -> None:
    assert snake_case(class_name) == path


def test_all_problems_are_reported_in_one_go() -> None:
    lines = problems(
        sequential(
            layer("Conv2D", "good", filters=4, kernel_size=3),
            layer("Conv2D", "groups", filters=4, kernel_size=3, groups=3),
            layer("Conv2d", "typo", filters=4),
            layer("Dense", "named", units=2, activation="Relu"),
            layer("Lambda", "code", function="gASVAA=="),
        )
    )
    assert lines == [
        "layer 'typo' (Conv2d): this layer is not supported (the nearest that is supported is Conv2D)",
        "layer 'named' (Dense): this activation is not supported: got 'Relu' (the nearest that is supported is relu)",
        "layer 'code' (Lambda): a Lambda holds Python code, which is never executed (replace it by layers that have a "
        "name)",
        "layer 'groups' (Conv2D): input channels are not divisible by groups: expected a multiple of 3, got 4",
    ]


def test_the_class_of_the_error_tells_unsupported_from_broken() -> None:
    with pytest.raises(UnsupportedError):
        drawn(sequential(layer("AStranger", "a"), layer("Another", "b")))
    with pytest.raises(ModelError):
        drawn(sequential(layer("Dense", "a")))


def test_a_layer_behind_a_problem_is_not_blamed() -> None:
    lines = problems(sequential(layer("Conv2D", "a", filters=0, kernel_size=3), layer("Dense", "b", units=2)))
    assert lines == ["layer 'a' (Conv2D): 'filters' is wrong: expected an integer from 1 up, got 0"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (layer("Conv2D", "a", kernel_size=3), "'filters' is wrong: expected an integer from 1 up, got nothing"),
        (layer("Conv2D", "a", filters=math.nan, kernel_size=3), "'filters' is wrong: .* got nan"),
        (layer("Conv2D", "a", filters=2, kernel_size=[3, math.nan]), r"'kernel_size' is wrong: .* got \[3, nan\]"),
        (layer("Conv2D", "a", filters=2, kernel_size=[3]), "'kernel_size' is wrong"),
        (layer("Conv2D", "a", filters=10**30, kernel_size=3), "'filters' is wrong"),
        (layer("Conv2D", "a", filters=10**15, kernel_size=3), "too large"),
        (layer("Conv2D", "a", filters=True, kernel_size=3), "'filters' is wrong"),
        (layer("Conv2D", "a", filters=2, kernel_size=3, padding="full"), "'padding' is wrong: expected 'valid' or"),
        (layer("Conv2D", "a", filters=2, kernel_size=3, padding="causal"), "'padding' is wrong"),
        (layer("Conv2D", "a", filters=2, kernel_size=3, strides=2, dilation_rate=2), "not both"),
        (layer("Conv2D", "a", filters=2, kernel_size=9), "layer 'a'.*the window does not fit"),
        (layer("Conv2D", "a", filters=2, kernel_size=3, data_format="NCHW"), "'data_format' is wrong"),
        (layer("Conv2D", "a", filters=4, kernel_size=1, groups=3), "filters are not divisible by groups"),
        (layer("Conv1D", "a", filters=2, kernel_size=3), "wrong number of axes: expected 3"),
        (layer("Dense", "a", units=2, use_bias="yes"), "'use_bias' is wrong: expected true or false, got 'yes'"),
        (layer("Dense", "a", units=2, kernel_initializer=7), "'kernel_initializer' is wrong"),
        (layer("Dense", "a", units=2, kernel_initializer="mine"), "the initializer 'mine' is not supported"),
        (layer("Dense", "a", units=2, activation={"class_name": "__lambda__"}), "never executed"),
        (layer("Dense", "a", units=2, activation={"class_name": "Mine", "config": {}}), "not supported: got Mine"),
        (layer("Dense", "a", units=2, dtype={"class_name": "QuantizedDTypePolicy"}), "quantized"),
        (layer("Dense", "a", units=2, quantization_config={"mode": "int8"}), "quantized"),
        (layer("BatchNormalization", "a", axis=4), "axis is outside the input"),
        (layer("BatchNormalization", "a", epsilon=math.inf), "'epsilon' is wrong: expected a finite number, got inf"),
        (layer("Concatenate", "a", axis=-5), "axis is outside the input"),
        (layer("Softmax", "a", axis=9), "axis is outside the input"),
        (layer("PReLU", "a", shared_axes=[3, 4]), "'shared_axes' is wrong"),
        (layer("Reshape", "a", target_shape=[5, -1]), r"the shape does not fit: expected 192 elements, got \(5, -1\)"),
        (layer("Reshape", "a", target_shape=[191]), "the shape does not fit"),
        (layer("Reshape", "a", target_shape=[-1, -1]), "'target_shape' is wrong"),
        (layer("Permute", "a", dims=[1, 2]), "not a permutation"),
        (layer("ZeroPadding2D", "a", padding=[1, [2, -1]]), "'padding' is wrong"),
        (layer("ZeroPadding3D", "a", padding=1), "wrong number of axes"),
        (layer("MaxPooling2D", "a", pool_size=9), "the window does not fit"),
        (layer("GlobalMaxPooling1D", "a"), "wrong number of axes"),
        (layer("Rescaling", "a", scale=[1, "x"]), "'scale' is wrong"),
        (layer("Rescaling", "a", scale=[1, 2]), "do not broadcast"),
        ({"class_name": "Dense", "config": 3, "name": "a"}, "the layer has no config"),
        ({**layer("Dense", "a", units=2), "module": "mine"}, "custom layers are not supported.*module 'mine'"),
        ({**layer("Dense", "a", units=2), "registered_name": "mine>Dense"}, "custom layers are not supported"),
        ({**layer("Add", "a"), "module": "keras.src.ops.numpy"}, "expected a tensor or a constant, got nothing"),
    ],
)  # fmt: skip
def test_a_wrong_layer_is_named(entry: Config, message: str) -> None:
    with pytest.raises(ConvcError, match=message) as caught:
        drawn(sequential(entry))
    assert str(caught.value).startswith(f"layer 'a' ({entry['class_name']}): ")


def test_merging_layers_check_their_inputs() -> None:
    other = called(layer("InputLayer", "y", batch_shape=[None, 2, 4]))
    both: Config = {"inputs": [["x", 0, 0], ["y", 0, 0]], "outputs": [["sum", 0, 0]]}
    lines = problems(functional(SOURCE, other, called(layer("Concatenate", "sum"), "x", "y"), **both))
    assert len(lines) == 1
    assert lines[0].startswith("layer 'sum' (Concatenate): ")
    dense = called(layer("Dense", "sum", units=2), "x", "y")
    assert "wrong number of inputs: expected 1, got 2" in problems(functional(SOURCE, other, dense, **both))[0]


def test_unknown_keys_are_ignored() -> None:
    entry = layer("Dense", "a", units=2, from_the_future={"class_name": "Deep"}, kernel_regularizer="l9")
    assert drawn(sequential({**entry, "extra": 1}, shape=(4,))).outputs[0].type.shape == (1, 2)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "the config is not a model's"),
        ({"class_name": "Dense", "config": {"units": 2}}, "only Sequential and Functional models"),
        ({"class_name": "Sequential"}, "the model has no layers"),
        ({"class_name": "Sequential", "config": {"layers": []}}, "the model has no layers"),
        ({"class_name": "Sequential", "config": {"layers": [3]}}, "entry 0 of 'layers' is wrong"),
        (sequential(layer("Dense", "a", units=2), layer("Dense", "a", units=2)), "two layers have the name 'a'"),
        (functional(SOURCE, inputs=["x", 0, 0], outputs=["y", 0, 0]), "cut apart: expected call 0 of layer 'y'"),
        (functional(SOURCE, inputs=["x", 0, 0], outputs=["x", 1, 0]), "cut apart: expected call 1 of layer 'x'"),
        (functional(SOURCE, inputs=["x", 0, 0], outputs=["x", 0, 1]), "outputs: it reads output 1 of 'x'"),
        (
            functional(SOURCE, inputs=["y", 0, 0], outputs=["x", 0, 0]),
            "the input 'y' is wrong: expected the name of an InputLayer",
        ),
        (functional(SOURCE, inputs=[["x", 0, 0]] * 2, outputs=["x", 0, 0]), "the input 'x' is there twice"),
        (functional(SOURCE, inputs=[], outputs=["x", 0, 0]), "'input_layers' is empty"),
        (functional(SOURCE, inputs=["x", 0, 0], outputs=None), "'output_layers' is empty"),
    ],
)
def test_a_broken_structure_is_refused(config: Config, message: str) -> None:
    with pytest.raises(ConvcError, match=message):
        drawn(config)


def test_a_loop_is_refused() -> None:
    a, b = called(layer("Add", "a"), "x", "b"), called(layer("Dense", "b", units=4), "a")
    lines = problems(functional(SOURCE, a, b, inputs=["x", 0, 0], outputs=["b", 0, 0]))
    assert lines == ["model 'model' (Functional): the layers form a loop through 'b'"]


def test_calls_of_nested_models_are_counted_from_one() -> None:
    inner = {**called(sequential(layer("AStranger", "g"), shape=(4,), name="m"), "x"), "class_name": "Functional"}
    lines = problems(functional(SOURCE, inner, inputs=["x", 0, 0], outputs=["m", 0, 0]))
    assert lines[-1].endswith("the model is cut apart: expected call -1 of layer 'm', got none such in the config")


def test_output_names_are_unique() -> None:
    layers = [called(layer("Dense", name, units=2), "x") for name in ("a", "a_1")]
    outputs = [["a", 0, 0], ["a", 0, 0], ["a_1", 0, 0], ["a", 0, 0]]
    graph = drawn(functional(SOURCE, *layers, inputs=["x", 0, 0], outputs=outputs))
    assert graph.output_names == ("a", "a_2", "a_1", "a_3")


def test_a_tensor_without_history_is_refused() -> None:
    broken = called(layer("Dense", "a", units=2), "x")
    broken["inbound_nodes"][0]["args"] = [{"class_name": "__keras_tensor__", "config": {}}]
    lines = problems(functional(SOURCE, broken, inputs=["x", 0, 0], outputs=["a", 0, 0]))
    assert lines == [
        "layer 'a' (Dense): a tensor has no history: expected [name, call, tensor], got None",
    ]


def test_tensors_in_other_arguments_are_refused() -> None:
    masked = called(layer("Flatten", "a"), "x")
    masked["inbound_nodes"][0]["kwargs"] = {"weights": tensor("x")}
    lines = problems(functional(SOURCE, masked, inputs=["x", 0, 0], outputs=["a", 0, 0]))
    assert "the call argument 'weights' is not supported" in lines[0]


def test_functions_are_named_before_their_arguments() -> None:
    entry = {**called(layer("AStranger", "a"), "x"), "module": "keras.src.ops.numpy"}
    entry["inbound_nodes"][0]["args"].append("x")
    lines = problems(functional(SOURCE, entry, inputs=["x", 0, 0], outputs=["a", 0, 0]))
    message = "this function of keras.ops is not supported (docs/supported.md lists what is supported)"
    assert lines == [f"layer 'a' (AStranger): {message}"]


def test_inputs_may_be_a_keyword() -> None:
    entry = called(layer("Dense", "a", units=2), "x")
    entry["inbound_nodes"] = [{"args": [], "kwargs": {"inputs": tensor("x"), "training": False}}]
    assert drawn(functional(SOURCE, entry, inputs=["x", 0, 0], outputs=["a", 0, 0])).outputs[0].type.shape == (1, 2)


def test_a_nested_model_checks_what_it_is_called_with() -> None:
    inner = sequential(layer("Dense", "a", units=2), shape=(5,), name="inner")
    lines = problems(sequential(inner, shape=(4,)))
    assert lines == [
        "layer 'inner/input' (InputLayer): the model is called with another shape: expected (5,), got (4,)"
    ]


def test_models_nested_too_deeply_are_refused() -> None:
    config = sequential(layer("Dense", "a", units=2), shape=(4,))
    for _ in range(MAX_NESTING + 1):
        config = sequential(config, shape=(4,))
    assert "models are nested too deeply" in problems(config)[0]


def test_positional_arguments_after_the_tensors_are_refused() -> None:
    entry = called(layer("BatchNormalization", "a"), "x")
    entry["inbound_nodes"][0]["args"].append(True)
    lines = problems(functional(SOURCE, entry, inputs=["x", 0, 0], outputs=["a", 0, 0]))
    assert lines == ["layer 'a' (BatchNormalization): the call argument True is not supported: expected tensors only"]


def test_models_that_multiply_when_nested_are_refused() -> None:
    config = sequential(layer("Dense", "a", units=4), shape=(4,), name="m")
    last = 1
    for _ in range(25):
        entry = {**called(config, "x"), "inbound_nodes": [{"args": [tensor("x")]}, {"args": [tensor("m")]}]}
        config = functional(SOURCE, entry, inputs=["x", 0, 0], outputs=["m", last, 0], name="m")
        last = 2  # calls of a Functional model are counted from 1
    assert "the model has too many layers" in problems(config)[0]


def test_json_nested_without_end_is_refused() -> None:
    text = '{"class_name": "Sequential", "config": ' + '{"a":' * 100_000 + "1" + "}" * 100_001
    with pytest.raises(ModelError, match="nested too deeply"):
        load(text)


def test_python_objects_nested_without_end_are_read_past_or_refused() -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    drawn(sequential(layer("Dense", "a", units=2, extra=deep), shape=(4,)))
    assert "'units' is wrong" in problems(sequential(layer("Dense", "a", units=deep)))[0]
    entry = called(layer("Dense", "a", units=2), "x")
    entry["inbound_nodes"][0]["args"].append(deep)
    message = "layer 'a' (Dense): the arguments of a call are nested too deeply: expected at most 64 levels"
    assert problems(functional(SOURCE, entry, inputs=["x", 0, 0], outputs=["a", 0, 0])) == [message]


@pytest.mark.parametrize("shape", [(math.nan, 3), (0, 3), (-1, 3), ("a", 3), (10**30, 3), (2.5, 3)])
def test_an_input_of_a_senseless_shape_is_refused(shape: tuple[object, ...]) -> None:
    lines = problems(sequential(layer("Dense", "a", units=2), shape=shape))
    assert lines[0].startswith(
        "layer 'input' (InputLayer): the input's shape is wrong: expected the batch and positive"
    )


def test_an_input_of_integers_is_refused() -> None:
    config = sequential(layer("Dense", "a", units=2))
    config["config"]["layers"][0]["config"]["dtype"] = "int64"
    assert "layer 'a' (Dense): it does not take integers" in problems(config)[0]
    config["config"]["layers"][0]["config"]["dtype"] = "complex64"
    assert "dtype is not supported" in problems(config)[0]


def test_a_sequential_without_input_takes_the_shape_from_elsewhere() -> None:
    config = sequential(layer("Dense", "a", units=2))
    del config["config"]["layers"][0]
    assert "input 'a_input': the config does not say its shape" in problems(config)[0]
    assert drawn(config, input_shapes={"a_input": (4,)}).inputs[0].type.shape == (1, 4)
    config["config"]["build_input_shape"] = [None, 5]
    assert drawn(config).inputs[0].type.shape == (1, 5)


def test_weights_are_asked_for_once() -> None:
    config = sequential(layer("Conv2D", "a", filters=2, kernel_size=1), layer("Dense", "b", units=2))
    with pytest.raises(ModelError) as caught:
        load(config)
    assert str(caught.value) == (
        "the config: there are no weights (pass --weights FILE, or --weights random to draw them by their initializers)"
    )
    assert load(sequential(layer("Flatten", "flat"))).outputs[0].type.shape == (1, 192)


def test_a_shared_layer_on_inputs_that_need_other_weights_is_refused() -> None:
    shared = called(layer("Dense", "a", units=3), "x")
    shared["inbound_nodes"].append({"args": [tensor("a", 0)]})
    lines = problems(functional(SOURCE, shared, inputs=["x", 0, 0], outputs=["a", 1, 0]))
    message = (
        "it is called with inputs that need other weights: expected {'kernel': (4, 3), 'bias': (3,)}, "
        "got {'kernel': (3, 3), 'bias': (3,)}"
    )
    assert lines == [f"layer 'a' (Dense): {message}"]


def test_damaged_configs_never_escape_as_other_errors() -> None:
    """Any value of a config may be anything: the error, if one comes, is one that names what is wrong."""
    x, y = called(layer("InputLayer", "x", batch_shape=[None, 6, 6, 3])), {"units": 2, "activation": "relu"}
    whole = functional(
        x,
        called(layer("Conv2D", "c", filters=3, kernel_size=[3, 3], strides=[1, 1], padding="same"), "x"),
        called(layer("BatchNormalization", "b", axis=[3], epsilon=0.001), "c"),
        called(layer("Add", "a"), "b", "x"),
        called(layer("MaxPooling2D", "m", pool_size=[2, 2], data_format="channels_first"), "a"),
        called(layer("ZeroPadding2D", "z", padding=[[1, 0], [0, 1]]), "m"),
        called(layer("Reshape", "r", target_shape=[-1, 2]), "z"),
        called(sequential(layer("Dense", "d", **y), shape=(None, 2), name="s"), "r"),
        inputs=["x", 0, 0],
        outputs=["s", 0, 0],
    )
    drawn(whole)
    places = list(_places(whole))
    junk: list[Any] = [None, True, -1, 0, 3, 10**25, 0.5, math.nan, "", "x", [], [[]], [None], {}, ["x", 0, 0]]
    for number, (path, value) in enumerate((path, value) for path in places for value in junk):
        config = copy.deepcopy(whole)
        parent: Any = config
        for key in path[:-1]:
            parent = parent[key]
        if number % 17 == 0:
            del parent[path[-1]]
        else:
            parent[path[-1]] = value
        with contextlib.suppress(ConvcError):
            drawn(config)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from _places(inner, (*path, key))


def test_different_layers_that_claim_to_be_one_object_are_refused() -> None:
    one = {**layer("Dense", "a", units=4), "shared_object_id": 7}
    other = {**layer("BatchNormalization", "b", scale=False), "shared_object_id": 7}
    lines = problems(sequential(one, other, shape=(4,)))
    assert lines[0].startswith("layer 'b' (BatchNormalization): it is called with inputs that need other weights")


KERAS2: Config = {
    "class_name": "Model",
    "keras_version": "2.12.0",
    "backend": "tensorflow",
    "config": {
        "name": "old",
        "layers": [
            {
                "class_name": "InputLayer", "name": "x", "inbound_nodes": [],
                "config": {"batch_input_shape": [None, 4], "dtype": "float32", "sparse": False, "name": "x"},
            },
            {
                "class_name": "Sequential", "name": "inner",
                "inbound_nodes": [[["x", 0, 0, {}]], [["inner", 1, 0, {}]]],
                "config": {"name": "inner", "layers": [
                    layer("Dense", "d", units=4, batch_input_shape=[None, 4], activation="hard_sigmoid"),
                    layer("LeakyReLU", "l", alpha=0.5),
                ]},
            },
            {
                "class_name": "Add", "name": "sum", "config": {"name": "sum"},
                "inbound_nodes": [[["inner", 1, 0, {}], ["inner", 2, 0, {}]]],
            },
        ],
        "input_layers": [["x", 0, 0]],
        "output_layers": [["sum", 0, 0], ["inner", 2, 0]],
    },
}  # fmt: skip


def test_a_config_of_keras_2() -> None:
    graph = drawn(json.dumps(KERAS2))
    assert graph.output_names == ("sum", "inner")
    kinds = [type(node.op).__name__ for node in graph.nodes if not isinstance(node.op, ops.Constant)]
    assert kinds == ["Input", "Dense", "HardSigmoid", "Relu", "Dense", "HardSigmoid", "Relu", "Add"]
    assert ops.HardSigmoid(0.2, 0.5) in [node.op for node in graph.nodes]
    assert ops.Relu(negative_slope=0.5) in [node.op for node in graph.nodes]
    values = ops.evaluate(graph, {"x": np.ones((1, 4), np.float32)}, keep=True)
    added, second = (values[node] for node in graph.outputs)
    assert np.allclose(added - second, values[graph.outputs[0].inputs[0]])


def test_training_in_a_config_of_keras_2_is_refused() -> None:
    config = copy.deepcopy(KERAS2)
    config["config"]["layers"][1]["inbound_nodes"][0][0][3] = {"training": True}
    assert "layer 'inner' (Sequential): it is called with training=True" in problems(config)[0]


def test_given_shapes_must_be_positive() -> None:
    config = sequential(layer("Flatten", "a"), shape=(None, 3))
    with pytest.raises(ShapeError, match="input 'input'"):
        load(config, input_shapes={"input": (0, 3)})
