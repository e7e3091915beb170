"""SimpleRNN, LSTM, GRU and RNN: every argument against Keras, compiled layers too, and each refusal."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convc
from convc.errors import ModelError, ShapeError, UnsupportedError
from convc.frontends.keras import load
from convc.ops import Dense, Recurrent
from tests.support.configs import called, functional, layer
from tests.support.configs import sequential as config
from tests.support.keras import assert_same, feeds, keras, predict, randomise, save
from tests.tolerances import assert_close

L = keras.layers
LAYERS = (L.SimpleRNN, L.LSTM, L.GRU)


def state(units: int, name: str) -> Any:
    return keras.Input((units,), name=name)


@pytest.mark.parametrize("kind", LAYERS, ids=lambda kind: kind.__name__)
def test_sequences_directions_and_bias(kind: Any, tmp_path: Path) -> None:
    x = keras.Input((5, 3), name="x")
    forms = [dict(zip(("return_sequences", "go_backwards", "use_bias"), values, strict=True))
             for values in product((False, True), repeat=3)]  # fmt: skip
    graph = assert_same(keras.Model(x, [kind(4, **form)(x) for form in forms]), tmp_path)
    assert sum(isinstance(node.op, Recurrent) for node in graph.nodes) == len(forms)


@pytest.mark.parametrize("kind", LAYERS, ids=lambda kind: kind.__name__)
def test_states_are_returned_and_given(kind: Any, tmp_path: Path) -> None:
    x, h, c = keras.Input((5, 3), name="x"), state(4, "h"), state(4, "c")
    start = [h, c] if kind is L.LSTM else [h]
    outputs = [
        *kind(4, return_state=True)(x),
        *kind(4, return_state=True, return_sequences=True, go_backwards=True)(x),
        kind(4)(x, initial_state=start),
        kind(4)(x, start),
        *kind(4, return_state=True)(x, initial_state=[h] * len(start)),
    ]
    assert_same(keras.Model([x, h, c], outputs), tmp_path, batch=3)


@pytest.mark.parametrize("kind", LAYERS, ids=lambda kind: kind.__name__)
def test_activations_by_name(kind: Any, tmp_path: Path) -> None:
    x = keras.Input((3, 2), name="x")
    names = ("linear", None, "relu", "hard_sigmoid", "gelu")
    outputs = [kind(3, activation=name, return_sequences=True)(x) for name in names]
    if kind is not L.SimpleRNN:
        outputs += [kind(3, recurrent_activation=name)(x) for name in names]
    assert_same(keras.Model(x, outputs), tmp_path)


@pytest.mark.parametrize("kind", LAYERS, ids=lambda kind: kind.__name__)
def test_activations_over_all_units_go_step_by_step(kind: Any, tmp_path: Path) -> None:
    x, h = keras.Input((3, 2), name="x"), state(3, "h")
    start = [h] * (2 if kind is L.LSTM else 1)
    form = {} if kind is L.SimpleRNN else {"recurrent_activation": "softmax"}
    outputs = [
        kind(3, activation="softmax", return_sequences=True)(x),
        *kind(3, activation="softmax", return_state=True, go_backwards=True)(x, initial_state=start),
        kind(3, use_bias=False, **form)(x),
    ]
    graph = assert_same(keras.Model([x, h], outputs), tmp_path)
    assert sum(isinstance(node.op, Dense) for node in graph.nodes) > 6


def test_the_reset_gate_before_and_after(tmp_path: Path) -> None:
    x, h = keras.Input((4, 3), name="x"), state(5, "h")
    forms = [*product((False, True), (False, True), ("sigmoid",)), (False, True, "softmax")]
    outputs = [
        L.GRU(5, reset_after=after, use_bias=bias, recurrent_activation=name)(x, initial_state=h)
        for after, bias, name in forms
    ]
    assert_same(keras.Model([x, h], outputs), tmp_path)


def test_arguments_that_change_nothing(tmp_path: Path) -> None:
    x = keras.Input((4, 3), name="x")
    outputs = [
        L.LSTM(5, unit_forget_bias=False, dropout=0.5, recurrent_dropout=0.3, unroll=True)(x),
        L.GRU(5, unroll=True, dropout=0.5, recurrent_dropout=0.3, seed=3)(x),
        L.SimpleRNN(5, unroll=True, dropout=0.5, return_sequences=True)(x),
    ]
    assert_same(keras.Model(x, outputs), tmp_path)


def test_cells_alone_and_in_stacks(tmp_path: Path) -> None:
    x, h = keras.Input((4, 3), name="x"), state(3, "h")

    def stack() -> Any:
        return [L.LSTMCell(3), L.GRUCell(2, reset_after=False), L.LSTMCell(2)]

    outputs = [
        *(L.RNN(cell)(x) for cell in (L.GRUCell(2), L.SimpleRNNCell(2))),
        L.RNN(stack(), go_backwards=True)(x),
        L.RNN(L.StackedRNNCells(stack()), return_sequences=True, go_backwards=True)(x),
        *L.RNN(L.LSTMCell(3), return_state=True)(x, initial_state=[h, h]),
    ]
    assert_same(keras.Model([x, h], outputs), tmp_path)


def test_a_layer_that_is_called_twice(tmp_path: Path) -> None:
    x, y = keras.Input((4, 3), name="x"), keras.Input((2, 3), name="y")
    shared = L.LSTM(3, return_state=True)
    first, *states = shared(x)
    assert_same(keras.Model([x, y], [first, *shared(y, initial_state=states)]), tmp_path)


@pytest.mark.parametrize(("steps", "units", "batch"), [(1, 5, 1), (17, 33, 3)], ids=lambda value: str(value))
def test_compiled(steps: int, units: int, batch: int, tmp_path: Path) -> None:
    x = keras.Input((steps, 3), name="x")
    outputs = [L.GRU(units, return_sequences=True)(x), L.Bidirectional(L.LSTM(units))(x)]
    model = randomise(keras.Model(x, outputs))
    path = save(model, tmp_path)
    values = feeds(load(path, batch=batch))
    convc.compile(path, tmp_path / "model.so", batch=batch)
    with convc.load(tmp_path / "model.so") as module:
        answers = module.run(values)
    for got, want in zip(answers.values(), predict(model, values), strict=True):
        assert_close(got, want)


def test_drawn_weights_have_a_forget_bias_of_one() -> None:
    text = config(layer("LSTM", "lstm", units=3, unit_forget_bias=True), shape=(4, 2))
    graph = load(text, weights="random")
    biases = [node.op.value for node in graph.nodes if node.type.shape == (12,)]  # type: ignore[attr-defined]
    assert np.array_equal(biases, [[0] * 3 + [1] * 3 + [0] * 6])


def problem(**arguments: Any) -> str:
    """What is said about an LSTM with these arguments."""
    kind = arguments.pop("kind", "LSTM")
    shape = arguments.pop("shape", (4, 2))
    with pytest.raises((ModelError, ShapeError, UnsupportedError)) as caught:
        load(config(layer(kind, "rnn", **{"units": 3, **arguments}), shape=shape), weights="random")
    return str(caught.value)


def test_refusals() -> None:
    assert "stateful=True" in problem(stateful=True)
    assert "initial_state" in problem(stateful=True)
    assert "time_major" in problem(time_major=True)
    assert "num_constants" in problem(num_constants=2, kind="GRU")
    assert "'units' is wrong" in problem(units=0)
    assert "'units' is wrong" in problem(units="many")
    assert "wrong number of axes: expected 3" in problem(shape=(4,))
    assert "this activation is not supported" in problem(activation="wavy")
    assert "'return_sequences' is wrong" in problem(return_sequences="yes")


def test_refused_cells() -> None:
    cell = {"class_name": "LSTMCell", "config": {"units": 3}}
    assert "this cell is not supported" in problem(kind="RNN", cell={"class_name": "Dense", "config": {}})
    assert "'cell' is wrong" in problem(kind="RNN", cell=3)
    assert "'units' is wrong" in problem(kind="RNN", cell={"class_name": "LSTMCell"})
    own = {**cell, "module": "mine", "registered_name": "mine>LSTMCell"}
    assert "this cell is not supported" in problem(kind="RNN", cell=own)
    for cells in ([], 3, "LSTMCell", [cell] * 65):
        stack = {"class_name": "StackedRNNCells", "config": {"cells": cells}}
        assert "'cells' is wrong" in problem(kind="RNN", cell=stack)
    stack = {"class_name": "StackedRNNCells", "config": {"cells": [cell], "reverse_state_order": True}}
    assert "reverse_state_order" in problem(kind="RNN", cell=stack)


def test_states_that_do_not_fit() -> None:
    inputs = [layer("InputLayer", name, batch_shape=[None, *shape]) for name, shape in (("x", (4, 2)), ("h", (3,)))]
    entries = [{**entry, "name": entry["config"]["name"], "inbound_nodes": []} for entry in inputs]
    for units, sources in ((3, ("x", "h")), (5, ("x", "h", "h")), (3, ("x", "h", "h", "h"))):
        entries[2:] = [called(layer("LSTM", "lstm", units=units), *sources)]
        text = functional(*entries, inputs=[["x", 0, 0], ["h", 0, 0]], outputs=[["lstm", 0, 0]])
        with pytest.raises(ModelError, match="the states at the start do not fit"):
            load(text, weights="random")


def test_huge_sizes_are_refused_and_take_no_memory() -> None:
    assert "is too large" in problem(units=1 << 30)
    assert "is too large" in problem(kind="GRU", units=1 << 62)
