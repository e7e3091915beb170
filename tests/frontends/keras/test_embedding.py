"""Embedding, and functions that pick elements by indices, against Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convc.errors import ConvcError
from convc.frontends.keras import load
from convc.ir import Array
from convc.ops import Slice, Take, evaluate
from tests.support.configs import Config, called, functional, layer, tensor
from tests.support.keras import assert_same, keras, predict, randomise, save

L, K = keras.layers, keras.ops


def answers(model: Any, feeds: dict[str, Array], folder: Path) -> list[tuple[Array, Array]]:
    """The reference's and Keras's outputs."""
    graph = load(save(randomise(model), folder), batch=next(iter(feeds.values())).shape[0])
    values = evaluate(graph, feeds)
    return [(values[node], want) for node, want in zip(graph.outputs, predict(model, feeds), strict=True)]


def test_against_keras(tmp_path: Path) -> None:
    tokens = keras.Input((7,), dtype="int32", name="tokens")
    kinds = keras.Input((7,), dtype="int32", name="kinds")
    grid = keras.Input((2, 3), dtype="int32", name="grid")
    places = L.Embedding(7, 5)(K.arange(7))
    outputs = [L.Embedding(20, 5)(tokens) + L.Embedding(2, 5)(kinds) + places, L.Embedding(9, 1)(grid)]
    assert_same(keras.Model([tokens, kinds, grid], outputs), tmp_path, batch=3)


def test_a_table_that_is_read_twice(tmp_path: Path) -> None:
    table = L.Embedding(11, 4)
    x, y = keras.Input((3,), dtype="int32"), keras.Input((5,), dtype="uint8")
    assert_same(keras.Model([x, y], [table(x), table(y)]), tmp_path)


def test_negative_indices_and_those_outside(tmp_path: Path) -> None:
    x = keras.Input((6,), dtype="int32", name="x")
    indices = np.array([[0, 4, -1, -5, 5, -6], [1, 2, 3, 1 << 30, -(1 << 31), 100]], np.int32)
    ((got, want),) = answers(keras.Model(x, L.Embedding(5, 3)(x)), {"x": indices}, tmp_path)
    np.testing.assert_array_equal(got.astype(np.float32), want)
    assert np.isnan(got).any(axis=2).sum() == 5


def test_floating_point_is_cut_off(tmp_path: Path) -> None:
    x = keras.Input((6,), name="x")
    values = np.array([[0.0, 0.99, 1.5, 2.999, -0.9, 4.0]], np.float32)
    ((got, want),) = answers(keras.Model(x, L.Embedding(5, 3)(x)), {"x": values}, tmp_path)
    np.testing.assert_array_equal(got.astype(np.float32), want)
    assert np.isfinite(got).all()


def test_a_sequential_model_that_begins_with_a_table(tmp_path: Path) -> None:
    model = keras.Sequential([L.Embedding(9, 4), L.GlobalAveragePooling1D(), L.Dense(2)])
    model.build((None, 5))
    assert_same(model, tmp_path)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_take(axis: int, tmp_path: Path) -> None:
    x, i = keras.Input((4, 5), batch_size=3, name="x"), keras.Input((2,), batch_size=3, name="i", dtype="int32")
    outputs = [
        K.take(x, 1, axis), K.take(x, -1, axis), K.take(x, [0, 2, 1], axis),
        K.take(x, np.array([[2, -1], [0, -3]]), axis),
        K.take(x, [2, 1, 0], axis), K.take(x, i, axis), K.take(x, i[0], axis),
    ]  # fmt: skip
    assert_same(keras.Model([x, i], outputs), tmp_path, batch=3)


def test_take_without_an_axis_and_from_constants(tmp_path: Path) -> None:
    table = np.arange(12, dtype=np.float32).reshape(4, 3)
    x, i = keras.Input((4, 5), batch_size=2, name="x"), keras.Input((2,), batch_size=2, name="i", dtype="int32")
    outputs = [K.take(x, [3, -1, 17]), K.take(x, i), K.take(table, i, 0), K.take(table, i, 1), K.take(table, i)]
    assert_same(keras.Model([x, i], outputs), tmp_path)


def test_take_along_axis(tmp_path: Path) -> None:
    x, i = keras.Input((4, 5), batch_size=2, name="x"), keras.Input((4, 3), batch_size=2, name="i", dtype="int32")
    outputs = [
        K.take_along_axis(x, i, 2), K.take_along_axis(x, i[:, :2, :1], 1),
        K.take_along_axis(x, np.array([[[0], [3], [-1], [2]]]), -1), K.take_along_axis(x, np.array([0, -1, 39]), None),
    ]  # fmt: skip
    assert_same(keras.Model([x, i], outputs), tmp_path)


def test_one_hot(tmp_path: Path) -> None:
    i = keras.Input((4, 5), batch_size=2, name="i", dtype="int32")
    outputs = [K.one_hot(i, 5), K.one_hot(i, 101, axis=1), K.one_hot(i, 3, axis=0), K.one_hot(i - 3, 7, dtype="int32")]
    assert_same(keras.Model(i, outputs), tmp_path)


def kinds_of(indices: list[int]) -> list[type]:
    graph = load(model("Take", X, indices, axis=1))
    return [type(node.op) for node in graph.nodes]


def test_constant_indices_at_equal_distances_are_a_slice() -> None:
    for indices in ([2], [1, 2, 3], [3, 1], [0, 2]):
        assert Slice in kinds_of(indices)
        assert Take not in kinds_of(indices)
    for indices in ([0, 1, 3], [1, 1], [0, 0, 1]):
        assert Take in kinds_of(indices)


X = tensor("x")
SOURCE = called(layer("InputLayer", "x", batch_shape=[None, 4, 6]))


def model(kind: str, *args: Any, module: str = "keras.src.ops.numpy", **config: Any) -> Config:
    entry = {**called(layer(kind, "op", **config)), "module": module}
    calls = {"inbound_nodes": [{"args": list(args or [X]), "kwargs": {}}]}
    return functional(SOURCE, {**entry, **calls}, inputs=["x", 0, 0], outputs=["op", 0, 0])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (model("Embedding", module="keras.layers", input_dim=0, output_dim=2), "'input_dim' is wrong"),
        (model("Embedding", module="keras.layers", input_dim=2, output_dim="2"), "'output_dim' is wrong"),
        (model("Embedding", module="keras.layers", input_dim=2, output_dim=2, quantization_config={}), "quantized"),
        (model("Take", X, [0, 4], axis=1), "an index is outside: expected -4 to 3, got 4"),
        (model("Take", X, [-5], axis=1), "an index is outside"),
        (model("Take", X, 24), "an index is outside: expected -24 to 23, got 24"),
        (model("Take", X, [], axis=1), "'indices' is wrong"),
        (model("Take", X, [0.5], axis=1), "'indices' is wrong: expected integers, or a tensor of them"),
        (model("Take", X, [1 << 40], axis=1), "'indices' is wrong"),
        (model("Take", X, "0", axis=1), "'indices' is wrong"),
        (model("Take", X, X, axis=1), "the indices are not integers: expected int32, got float32"),
        (model("Take", X, [0], axis=3), "axis is outside the input"),
        (model("TakeAlongAxis", X, X, axis=1), "the indices are not integers"),
        (model("TakeAlongAxis", X, [0, 1], axis=1), "the indices have another number of axes"),
        (model("TakeAlongAxis", X, [[0]]), "the indices have the wrong number of axes: expected 1, got 2"),
        (model("TakeAlongAxis", X, [[[0, 0], [0, 0]]], axis=1), "the input cannot be repeated"),
        (model("OneHot", num_classes=0, module="keras.src.ops.nn"), "'num_classes' is wrong"),
        (model("OneHot", num_classes=1 << 40, module="keras.src.ops.nn"), "'num_classes' is too large"),
        (model("OneHot", num_classes=3, sparse=True, module="keras.src.ops.nn"), "'sparse' is not supported"),
        (model("OneHot", num_classes=3, axis=7, module="keras.src.ops.nn"), "axis is outside the input"),
    ],
)  # fmt: skip
def test_refused(config: Config, message: str) -> None:
    with pytest.raises(ConvcError) as caught:
        load(config, batch=1, weights="random")
    assert message in str(caught.value)
    assert "'op'" in str(caught.value)
