"""The structures of models: shared and nested ones, several inputs and outputs, names, shapes that are bound late."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convc import ops
from convc.errors import ModelError, ShapeError
from convc.frontends.keras import load
from convc.ir import Graph
from tests.support.keras import assert_same, feeds, keras, predict, randomise, save, sequential
from tests.tolerances import assert_close, relative_error

L = keras.layers

RESNET50 = Path(__file__).parent / "resnet50.json.gz"
"""keras.applications.ResNet50(input_shape=(64, 64, 3), weights=None).to_json() of Keras 3.15."""


def constants(graph: Graph) -> int:
    return sum(isinstance(node.op, ops.Constant) for node in graph.nodes)


def test_residual_functional_model(tmp_path: Path) -> None:
    x = keras.Input((9, 9, 3), name="image")
    y = L.Conv2D(4, 3, padding="same", name="first")(x)
    z = L.Activation("relu")(L.BatchNormalization()(L.Conv2D(4, 1)(y)))
    z = L.Add(name="sum")([z, y, L.Conv2D(4, 1, use_bias=False)(x)])
    z = L.Multiply()([z, L.Dense(4, activation="sigmoid")(L.GlobalAveragePooling2D(keepdims=True)(z))])
    z = L.Concatenate()([z, x])
    graph = assert_same(keras.Model(x, z, name="residual"), tmp_path)
    assert graph.name == "residual"
    assert [node.name for node in graph.inputs] == ["image"]
    assert {"first", "sum"} <= {node.name for node in graph.nodes}


def test_a_layer_shared_between_calls_has_its_weights_once(tmp_path: Path) -> None:
    x = keras.Input((6, 6, 3))
    shared = L.Conv2D(3, 3, padding="same", activation="elu")
    graph = assert_same(keras.Model(x, L.Add()([shared(shared(x)), shared(L.Conv2D(3, 1)(x))])), tmp_path)
    assert constants(graph) == 4
    assert sum(isinstance(node.op, ops.Conv) for node in graph.nodes) == 4


def test_a_nested_model_called_twice_has_its_weights_once(tmp_path: Path) -> None:
    inner_inner = keras.Sequential(
        [keras.Input((6, 6, 3)), L.Conv2D(3, 1), L.Conv2D(3, 3, padding="same")], name="deep"
    )
    i = keras.Input((6, 6, 3))
    inner = keras.Model(i, L.Add()([inner_inner(i), L.BatchNormalization()(i)]), name="inner")
    x = keras.Input((6, 6, 3))
    y = inner(L.Conv2D(3, 1)(inner(inner_inner(x))))
    graph = assert_same(keras.Model(x, [y, inner_inner(y)]), tmp_path)
    assert constants(graph) == 10
    assert "inner/deep/conv2d" in {node.name.rsplit("_", 1)[0] for node in graph.nodes}


def test_the_output_of_a_nested_model_called_several_times(tmp_path: Path) -> None:
    i = keras.Input((5,))
    inner = keras.Model(i, L.Dense(5, activation="tanh")(i), name="inner")
    x = keras.Input((5,))
    a = inner(x)
    b = inner(a)
    assert_same(keras.Model(x, [b, a]), tmp_path)


def test_a_layer_shared_between_models(tmp_path: Path) -> None:
    shared = L.Dense(4)
    a, b = keras.Input((4,)), keras.Input((4,))
    one = keras.Model(a, L.Dense(4)(shared(a)))
    two = keras.Model(b, L.Dense(4)(shared(b)))
    x = keras.Input((4,))
    graph = assert_same(keras.Model(x, two(one(shared(x)))), tmp_path)
    assert constants(graph) == 6


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    a, b = keras.Input((4, 4, 2), name="a"), keras.Input((3,), name="b")
    head = L.Dense(2, name="head")
    y = head(L.Concatenate()([L.Flatten()(a), b]))
    graph = assert_same(keras.Model([b, a], [y, L.Dense(3, name="other")(y), y]), tmp_path)
    assert [node.name for node in graph.inputs] == ["b", "a"]
    assert graph.output_names == ("head", "other", "head_1")


def test_dicts_of_inputs_and_outputs(tmp_path: Path) -> None:
    i, j = keras.Input((4,), name="first"), keras.Input((4,), name="second")
    inner = keras.Model({"second": j, "first": i}, {"sum": L.Add()([i, L.Dense(4)(j)]), "same": L.Dense(2)(i)})
    x, y = keras.Input((4,), name="x"), keras.Input((4,), name="y")
    out = inner({"first": x, "second": L.Dense(4)(y)})
    model = randomise(keras.Model([x, y], {"result": out["sum"], "also": L.Dense(3)(out["same"])}))
    graph = load(save(model, tmp_path))
    inputs = feeds(graph)
    want = model(list(inputs.values()))
    values = ops.evaluate(graph, inputs)
    assert sorted(graph.output_names) == ["also", "result"]
    for name, node in zip(graph.output_names, graph.outputs, strict=True):
        assert_close(values[node], np.asarray(want[name]), "reference")


def test_a_sub_model_cut_out_of_a_larger_one(tmp_path: Path) -> None:
    whole = sequential((8, 8, 3), L.Conv2D(4, 3, name="one"), L.Conv2D(5, 3, name="two"), L.Flatten(), L.Dense(2))
    assert_same(keras.Model(whole.inputs, whole.get_layer("two").output), tmp_path)


def test_inference_mode_is_accepted_and_training_mode_refused(tmp_path: Path) -> None:
    x = keras.Input((4,))
    norm = L.BatchNormalization(name="norm")
    assert_same(keras.Model(x, norm(x, training=False)), tmp_path)
    with pytest.raises(Exception, match=r"'norm' \(BatchNormalization\): it is called with training=True"):
        load(save(keras.Model(x, norm(x, training=True)), tmp_path))


def test_frozen_layers_keep_the_order_of_their_weights(tmp_path: Path) -> None:
    model = sequential((6, 6, 3), L.Conv2D(4, 3), L.BatchNormalization(), L.Conv2D(2, 1))
    model.trainable = False
    assert_same(model, tmp_path)


def test_open_sizes_are_bound_by_name(tmp_path: Path) -> None:
    x = keras.Input((None, None, 3), name="photo")
    model = keras.Model(x, L.GlobalMaxPooling2D()(L.Conv2D(4, 3, strides=2, padding="same")(x)))
    graph = assert_same(model, tmp_path, input_shapes={"photo": (9, 8, 3)})
    assert graph.inputs[0].type.shape == (2, 9, 8, 3)
    path = save(model, tmp_path)
    with pytest.raises(ModelError, match=r"input 'photo': .*\(1, None, None, 3\) \(pass --input photo=1x224x224x3"):
        load(path)
    with pytest.raises(ShapeError, match=r"input 'photo': .*expected \(1, None, None, 3\), got \(1, 9, 8, 4\)"):
        load(path, input_shapes={"photo": (9, 8, 4)})
    with pytest.raises(ModelError, match="input 'foto': no such input: expected 'photo'"):
        load(path, input_shapes={"foto": (9, 8, 3), "photo": (9, 8, 3)})


def test_the_batch_is_the_callers(tmp_path: Path) -> None:
    path = save(keras.Sequential([keras.Input(batch_shape=(8, 4)), L.Dense(2)]), tmp_path)
    assert load(path).outputs[0].type.shape == (1, 2)
    assert load(path, batch=3).outputs[0].type.shape == (3, 2)
    with pytest.raises(ShapeError, match="batch: not positive"):
        load(path, batch=0)


def test_a_wrong_weight_would_be_seen(tmp_path: Path) -> None:
    """The comparison that these tests rest on fails when a single layer's weights are another's."""
    model = randomise(sequential((6, 6, 3), L.Conv2D(3, 1), L.Conv2D(3, 1)))
    graph = load(save(model, tmp_path))
    inputs = feeds(graph)
    model.layers[0].kernel.assign(model.layers[1].kernel.value)
    assert relative_error(ops.evaluate(graph, inputs)[graph.outputs[0]], predict(model, inputs)[0]) > 0.01


def test_json_text_file_dict_and_list_give_the_same_graph(tmp_path: Path) -> None:
    model = sequential((6, 6, 3), L.Conv2D(3, 1, name="a"), L.Flatten(), L.Dense(2))
    text = model.to_json()
    (tmp_path / "model.json").write_text(text, encoding="utf-8")
    sources: list[Any] = [
        text,
        tmp_path / "model.json",
        json.loads(text),
        model.get_config(),
        model.get_config()["layers"],
    ]
    graphs = [load(source, weights="random:5") for source in sources]
    inputs = feeds(graphs[0])
    values = [ops.evaluate(graph, inputs)[graph.outputs[0]] for graph in graphs]
    assert all(np.array_equal(values[0], other) for other in values[1:])


def test_mobilenet_v2(tmp_path: Path) -> None:
    model = keras.applications.MobileNetV2(
        alpha=0.35, input_shape=(32, 32, 3), weights=None, classes=10, classifier_activation=None
    )
    graph = assert_same(model, tmp_path, kind="float32")
    assert graph.outputs[0].type.shape == (2, 10)


def test_resnet50() -> None:
    graph = load(gzip.decompress(RESNET50.read_bytes()).decode(), weights="random")
    assert graph.outputs[0].type.shape == (1, 1000)
    assert sum(isinstance(node.op, ops.Conv) for node in graph.nodes) == 53
    assert sum(isinstance(node.op, ops.BatchNorm) for node in graph.nodes) == 53
    elements = sum(node.type.elements for node in graph.nodes if isinstance(node.op, ops.Constant))
    assert elements == 25_636_712  # Keras's count_params()
