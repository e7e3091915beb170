"""Masks: who makes them, who hands them on, who computes with them, and who is refused."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convc import ops
from convc.errors import ConvcError
from convc.frontends.keras import load, supported_layers
from convc.frontends.keras.masking import Rule, rule_of
from convc.ir import Array, Graph, Shape
from tests.support.configs import layer
from tests.support.configs import sequential as config
from tests.support.keras import keras, predict, randomise, save
from tests.tolerances import assert_close

L = keras.layers


def same(model: Any, folder: Path, value: float = 0.0) -> Graph:
    """Compares with Keras on sequences of which some steps are `value`, and on indices of which some are 0."""
    randomise(model)
    graph = load(save(model, folder), batch=3)
    rng = np.random.default_rng(2)
    values: dict[str, Array] = {}
    for node in graph.inputs:
        shape = node.type.shape
        if node.type.dtype.value == "int32":
            values[node.name] = rng.integers(0, 3, shape).astype(np.int32)
            continue
        array = rng.standard_normal(shape, np.float32)
        if len(shape) > 2:
            array[rng.random(shape[:2]) < 0.4] = value
            array[0, 0], array[1, -1], array[2] = value, value, value
        values[node.name] = array
    want = predict(model, values)
    got = ops.evaluate(graph, values)
    for node, expected in zip(graph.outputs, want, strict=True):
        assert_close(got[node], expected, "reference")
    return graph


def sequential(*layers: Any, shape: Shape = (5, 3)) -> Any:
    return keras.Sequential([keras.Input(shape, name="x"), *layers])


@pytest.mark.parametrize("value", [0.0, -1.5])
def test_masking_zeroes_the_steps_that_are_all_of_the_value(value: float, tmp_path: Path) -> None:
    same(sequential(L.Masking(value)), tmp_path, value)
    same(sequential(L.Masking(value), shape=(2, 4, 3)), tmp_path, value)


@pytest.mark.parametrize("kind", [L.SimpleRNN, L.LSTM, L.GRU], ids=lambda kind: kind.__name__)
def test_recurrent_layers_pass_over_steps(kind: Any, tmp_path: Path) -> None:
    x = keras.Input((5, 3), name="x")
    masked = L.Masking(2.0)(x)
    outputs = [
        kind(4)(masked),
        kind(4, return_sequences=True, go_backwards=True)(masked),
        *kind(4, return_sequences=True, return_state=True, zero_output_for_mask=True)(masked),
        kind(4, zero_output_for_mask=True, go_backwards=True)(masked),
        # Written out, Keras does not zero.
        kind(4, zero_output_for_mask=True, return_sequences=True, unroll=True)(masked),
    ]
    same(keras.Model(x, outputs), tmp_path, 2.0)


def test_a_sequential_model_carries_its_mask(tmp_path: Path) -> None:
    layers = [
        L.Dense(4),
        L.Dropout(0.5),
        L.BatchNormalization(),
        L.LayerNormalization(),
        L.ReLU(),
        L.Activation("tanh"),
    ]
    graph = same(sequential(L.Masking(), *layers, L.LSTM(2, return_sequences=True), L.GRU(3)), tmp_path)
    assert all(node.op.has_mask for node in graph.nodes if isinstance(node.op, ops.Recurrent))


def test_wrappers_pass_masks_on(tmp_path: Path) -> None:
    x = keras.Input((5, 3), name="x")
    y = L.Bidirectional(L.GRU(4, return_sequences=True))(L.Masking()(x))
    y = L.TimeDistributed(L.Dense(3))(y)
    stack = L.RNN([L.LSTMCell(2), L.GRUCell(3)], return_sequences=True, go_backwards=True)(y)
    same(keras.Model(x, [*L.Bidirectional(L.LSTM(2), merge_mode=None)(y), L.SimpleRNN(2)(stack)]), tmp_path)


def test_embedding_masks_index_zero(tmp_path: Path) -> None:
    ids = keras.Input((6,), name="ids", dtype="int32")
    model = keras.Sequential([ids, L.Embedding(3, 4, mask_zero=True), L.LSTM(3, return_sequences=True), L.GRU(2)])
    graph = same(model, tmp_path)
    assert all(node.op.has_mask for node in graph.nodes if isinstance(node.op, ops.Recurrent))
    graph = same(keras.Sequential([ids, L.Embedding(3, 4), L.LSTM(3)]), tmp_path)
    assert not any(node.op.has_mask for node in graph.nodes if isinstance(node.op, ops.Recurrent))


def test_merging_layers_unite_masks_and_concatenate_joins_them(tmp_path: Path) -> None:
    x, y = keras.Input((5, 3), name="x"), keras.Input((5, 3), name="y")
    a, b = L.Masking()(x), L.Masking()(y)
    merged = [L.Add()([a, b]), L.Maximum()([a, y]), L.Concatenate()([a, b]), L.Concatenate(axis=1)([a, b, x])]
    same(keras.Model([x, y], [L.LSTM(2)(node) for node in merged]), tmp_path)


def test_the_mean_is_that_of_the_steps_that_count(tmp_path: Path) -> None:
    x, mask = keras.Input((5, 3), name="x"), keras.Input((5,), name="mask")
    first = L.GlobalAveragePooling1D(data_format="channels_first", keepdims=True)
    outputs = [
        L.GlobalAveragePooling1D()(x, mask=mask),
        L.GlobalAveragePooling1D(keepdims=True)(x, mask=mask),
        first(L.Permute((2, 1))(x), mask=mask),
    ]
    same(keras.Model([x, mask], outputs), tmp_path)


def test_masks_of_the_call(tmp_path: Path) -> None:
    x, mask = keras.Input((5, 3), name="x"), keras.Input((5,), name="mask")
    positive = keras.ops.greater(mask, 0.0)
    outputs = [L.GRU(2)(x, mask=positive), L.Bidirectional(L.LSTM(2))(x, mask=mask)]
    same(keras.Model([x, mask], outputs), tmp_path)


def test_states_at_the_start_keep_keras_from_passing_the_mask(tmp_path: Path) -> None:
    x, h = keras.Input((5, 3), name="x"), keras.Input((2,), name="h")
    y = L.GRU(2, return_sequences=True)(L.Masking()(x), initial_state=h)
    graph = same(keras.Model([x, h], [y, L.SimpleRNN(2)(y)]), tmp_path)
    gru, simple = (node.op for node in graph.nodes if isinstance(node.op, ops.Recurrent))
    assert (gru.has_mask, simple.has_mask) == (False, True)


def test_convolutional_layers_pass_over_steps(tmp_path: Path) -> None:
    x, mask = keras.Input((4, 5, 2), name="x"), keras.Input((4,), name="mask")
    present = keras.ops.greater(mask, 0.0)
    outputs = [
        # Not written out, Keras fails on jax.
        L.ConvLSTM1D(2, 2, unroll=True)(x, mask=present),
        L.ConvLSTM1D(2, 2, unroll=True, return_sequences=True, go_backwards=True)(x, mask=present),
    ]
    same(keras.Model([x, mask], outputs), tmp_path)


@pytest.mark.filterwarnings("ignore:Layer 'conv1d.*destroy the mask:UserWarning")
def test_layers_that_drop_a_mask(tmp_path: Path) -> None:
    graph = same(sequential(L.Masking(), L.Conv1D(3, 2), L.LSTM(2)), tmp_path)
    assert not any(node.op.has_mask for node in graph.nodes if isinstance(node.op, ops.Recurrent))


def test_an_unmasked_reader_of_the_same_input(tmp_path: Path) -> None:
    x = keras.Input((5, 3), name="x")
    lstm = L.LSTM(2)
    same(keras.Model(x, [lstm(L.Masking()(x)), lstm(x)]), tmp_path)


REFUSED: dict[str, tuple[list[Any], str]] = {
    "softmax": (
        [layer("Softmax", "last")],
        r"layer 'last' \(Softmax\): the mask of layer 'mask' \(Masking\) reaches it",
    ),
    "inside": (
        [layer("TimeDistributed", "last", layer=layer("Softmax", "inner"))],
        r"layer 'last' \(TimeDistributed\): a mask reaches the Softmax in it",
    ),
    "model": (
        [layer("TimeDistributed", "last", layer=config(layer("Dense", "inner", units=2), shape=(3,)))],
        r"layer 'last' \(TimeDistributed\): a mask reaches the model in it",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_layers_that_would_compute_something_else_are_refused(name: str) -> None:
    layers, message = REFUSED[name]
    with pytest.raises(ConvcError, match=message):
        load(config(layer("Masking", "mask", mask_value=0.0), *layers, shape=(4, 3)), weights="random")
    load(config(*layers, shape=(4, 3)), weights="random")


def test_unrolled_with_states_and_a_mask_is_refused(tmp_path: Path) -> None:
    x, h, mask = keras.Input((5, 3), name="x"), keras.Input((2,), name="h"), keras.Input((5,), name="mask")
    model = keras.Model([x, h, mask], L.GRU(2, unroll=True)(x, initial_state=h, mask=mask))
    with pytest.raises(ConvcError, match=r"unroll=True with a mask and states at the start"):
        load(save(model, tmp_path))


def test_a_mask_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    x, mask = keras.Input((5, 3), name="x"), keras.Input((None,), name="mask")
    path = save(keras.Model([x, mask], L.GRU(2)(x, mask=mask)), tmp_path)
    with pytest.raises(ConvcError, match="the mask does not fit the steps"):
        load(path, input_shapes={"mask": (4,)})


def _kinds() -> dict[str, type]:
    """All classes of keras.layers that convc reads."""
    found = {name: getattr(L, name) for name in supported_layers() if inspect.isclass(getattr(L, name, None))}
    return {name: kind for name, kind in found.items() if issubclass(kind, L.Layer)}


@pytest.mark.parametrize(("name", "kind"), _kinds().items(), ids=_kinds())
def test_the_rules_are_those_of_keras(name: str, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    if name in ("Bidirectional", "TimeDistributed", "Masking", "Embedding", "RNN", "LSTM", "GRU", "SimpleRNN") or (
        name.startswith("ConvLSTM")
    ):
        return  # they are `Masked`
    base: Any = L.Layer
    source = "".join(inspect.getsource(part) for part in kind.__mro__ if issubclass(part, base) and part is not base)
    supports = "supports_masking = True" in source or kind.compute_mask is not base.compute_mask  # type: ignore[attr-defined]
    takes = any("mask" in parameter for parameter in inspect.signature(kind.call).parameters)  # type: ignore[attr-defined]
    rule = rule_of(name)
    if takes and name != "BatchNormalization":  # which takes it for its statistics, in training
        assert rule is Rule.USES
    elif name in ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"):
        assert rule is Rule.UNITES
    elif name == "Concatenate":
        assert rule is Rule.JOINS
    elif name == "Dot":
        assert rule is Rule.STOPS
    else:
        assert rule is (Rule.PASSES if supports else Rule.STOPS)
