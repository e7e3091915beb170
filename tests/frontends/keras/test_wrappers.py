"""Bidirectional and TimeDistributed: every form against Keras, and each refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from convc.errors import ConvcError
from convc.frontends.keras import load
from tests.support.configs import Config, layer
from tests.support.configs import sequential as config
from tests.support.keras import assert_same, keras

L = keras.layers


def test_merge_modes(tmp_path: Path) -> None:
    x = keras.Input((4, 3), name="x")
    outputs: list[Any] = []
    for mode in ("concat", "sum", "mul", "ave", None):
        for sequences in (False, True):
            made = L.Bidirectional(L.GRU(3, return_sequences=sequences), merge_mode=mode)(x)
            outputs += made if isinstance(made, (list, tuple)) else [made]
    assert_same(keras.Model(x, outputs), tmp_path)


def test_states_of_both_directions(tmp_path: Path) -> None:
    x, h, c = keras.Input((4, 3), name="x"), keras.Input((2,), name="h"), keras.Input((2,), name="c")
    outputs = [
        *L.Bidirectional(L.LSTM(2, return_state=True, return_sequences=True))(x),
        *L.Bidirectional(L.GRU(2, return_state=True), merge_mode=None)(x),
        L.Bidirectional(L.LSTM(2))(x, initial_state=[h, c, c, h]),
        L.Bidirectional(L.SimpleRNN(2, return_sequences=True))(x, initial_state=[h, c]),
    ]
    assert_same(keras.Model([x, h, c], outputs), tmp_path)


def test_layers_that_differ_in_both_directions(tmp_path: Path) -> None:
    x = keras.Input((4, 3), name="x")
    outputs = [
        L.Bidirectional(L.LSTM(2), backward_layer=L.GRU(3, go_backwards=True))(x),
        # The backward layer may be the one that goes forward; Keras flips its rows all the same.
        L.Bidirectional(
            L.GRU(2, return_sequences=True, go_backwards=True), backward_layer=L.LSTM(3, return_sequences=True)
        )(x),
        L.Bidirectional(L.RNN(L.GRUCell(2), return_sequences=True))(x),
        L.Bidirectional(L.RNN([L.GRUCell(2), L.LSTMCell(3)]))(x),
    ]
    assert_same(keras.Model(x, outputs), tmp_path)


def test_bidirectional_convolutional(tmp_path: Path) -> None:
    x = keras.Input((3, 2, 5), name="x")
    around = L.ConvLSTM1D(2, 2, return_sequences=True, data_format="channels_first")
    outputs = [L.Bidirectional(L.ConvLSTM1D(2, 1, return_sequences=True))(x), L.Bidirectional(around)(x)]
    assert_same(keras.Model(x, outputs), tmp_path)


def test_every_step_by_itself(tmp_path: Path) -> None:
    x, image = keras.Input((4, 5, 3), name="x"), keras.Input((2, 6, 5, 3), name="image")
    distribute = L.TimeDistributed
    outputs = [
        distribute(L.Dense(2, activation="softmax"))(x),
        distribute(L.BatchNormalization())(x),
        distribute(L.PReLU())(x),
        distribute(L.LSTM(2))(x),
        distribute(L.Bidirectional(L.GRU(2, return_sequences=True)))(x),
        distribute(distribute(L.Dense(2)))(x),
        distribute(L.Conv2D(4, 3, padding="same", strides=2))(image),
        distribute(L.GlobalAveragePooling2D())(image),
    ]
    assert_same(keras.Model([x, image], outputs), tmp_path)


def test_a_model_on_every_step(tmp_path: Path) -> None:
    inner = keras.Sequential([keras.Input((5, 3)), L.Conv1D(2, 2), keras.Sequential([L.Flatten(), L.Dense(3)])])
    side = keras.Input((3,))
    functional = keras.Model(side, L.Add()([L.Dense(3)(side), side]))
    x = keras.Input((4, 5, 3), name="x")
    y = L.TimeDistributed(functional)(L.TimeDistributed(inner)(x))
    assert_same(keras.Model(x, [y, L.LSTM(2)(y)]), tmp_path)


def test_a_wrapper_that_is_called_twice(tmp_path: Path) -> None:
    x, y = keras.Input((4, 3), name="x"), keras.Input((2, 3), name="y")
    shared, other = L.Bidirectional(L.LSTM(2)), L.TimeDistributed(L.Dense(2))
    assert_same(keras.Model([x, y], [shared(x), shared(y), other(y), other(x)]), tmp_path)


def problem(kind: str, shape: tuple[int, ...] = (4, 3), **arguments: Any) -> str:
    """What is said about a wrapper with these arguments."""
    with pytest.raises(ConvcError) as caught:
        load(config(layer(kind, "wrapper", **arguments), shape=shape), weights="random")
    return str(caught.value)


def test_refused_directions() -> None:
    def lstm(**arguments: Any) -> Config:
        return layer("LSTM", "lstm", units=2, **arguments)

    assert "'merge_mode' is wrong" in problem("Bidirectional", layer=lstm(), merge_mode="max")
    assert "the Dense in it is not supported" in problem("Bidirectional", layer=layer("Dense", "dense", units=2))
    assert "the layer in it is wrong" in problem("Bidirectional", layer="LSTM")
    assert "stateful=True" in problem("Bidirectional", layer=lstm(stateful=True))
    other: dict[str, Any] = {"layer": lstm(), "backward_layer": lstm()}
    assert "the same direction" in problem("Bidirectional", **other)
    assert "the same direction" in problem("Bidirectional", layer=lstm(go_backwards=True))
    other["backward_layer"] = lstm(go_backwards=True, return_sequences=True)
    assert "the two layers differ" in problem("Bidirectional", **other)


def test_refused_steps() -> None:
    dense = layer("Dense", "dense", units=2)
    assert "the input has no steps" in problem("TimeDistributed", (4,), layer=dense)
    assert "never executed" in problem("TimeDistributed", layer=layer("Lambda", "lambda"))
    assert "the layer in it is wrong" in problem("TimeDistributed", layer=[dense])
    assert "custom" in problem("TimeDistributed", layer={**dense, "module": "mine", "registered_name": "mine>Dense"})
    model = config(dense, shape=(3,))
    assert "custom" in problem("TimeDistributed", layer={**model, "module": "mine", "registered_name": "mine>Net"})
    several = layer("LSTM", "lstm", units=2, return_state=True)
    assert "several outputs" in problem("TimeDistributed", (4, 5, 3), layer=several)
