"""ConvLSTM1D to 3D: every argument against Keras, a compiled one, and each refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import convc
from convc.errors import ConvcError
from convc.frontends.keras import load
from tests.support.configs import layer
from tests.support.configs import sequential as config
from tests.support.keras import assert_same, feeds, keras, predict, randomise, save
from tests.tolerances import assert_close

L = keras.layers
FIRST = "channels_first"


@pytest.mark.parametrize(
    ("kind", "shape"),
    [(L.ConvLSTM1D, (3, 6, 2)), (L.ConvLSTM2D, (2, 5, 4, 3)), (L.ConvLSTM3D, (2, 3, 4, 3, 2))],
    ids=("1", "2", "3"),
)
def test_windows(kind: Any, shape: tuple[int, ...], tmp_path: Path) -> None:
    x = keras.Input(shape, name="x")
    outputs = [
        kind(2, 2)(x),
        kind(3, 3, padding="SAME", strides=2, return_sequences=True)(x),
        kind(3, 2, padding="same", dilation_rate=2, use_bias=False, go_backwards=True)(x),
    ]
    assert_same(keras.Model(x, outputs), tmp_path)


def test_states_functions_and_channels_first(tmp_path: Path) -> None:
    x, h, c = keras.Input((3, 2, 6), name="x"), keras.Input((4, 5), name="h"), keras.Input((4, 5), name="c")
    form = {"data_format": FIRST, "activation": "relu", "recurrent_activation": "hard_sigmoid"}
    outputs = [
        *L.ConvLSTM1D(4, 2, return_state=True, return_sequences=True, **form)(x, initial_state=[h, c]),
        *L.ConvLSTM1D(4, 2, return_state=True, go_backwards=True, **form)(x),
        L.ConvLSTM1D(4, 1, activation="softmax", dropout=0.5, unroll=True, unit_forget_bias=False)(x),
    ]
    assert_same(keras.Model([x, h, c], outputs), tmp_path, batch=3)


def test_compiled(tmp_path: Path) -> None:
    x = keras.Input((3, 5, 6, 2), name="x")
    model = randomise(keras.Model(x, L.ConvLSTM2D(3, 3, padding="same", return_sequences=True)(x)))
    path = save(model, tmp_path)
    values = feeds(load(path, batch=2))
    convc.compile(path, tmp_path / "model.so", batch=2)
    with convc.load(tmp_path / "model.so") as module:
        (got,) = module.run(values).values()
    assert_close(got, predict(model, values)[0])


def problem(shape: tuple[int, ...] = (3, 5, 2), **arguments: Any) -> str:
    """What is said about a ConvLSTM1D with these arguments."""
    text = config(layer("ConvLSTM1D", "rnn", **{"filters": 2, "kernel_size": 2, **arguments}), shape=shape)
    with pytest.raises(ConvcError) as caught:
        load(text, weights="random")
    return str(caught.value)


def test_refusals() -> None:
    assert "stateful=True" in problem(stateful=True)
    assert "wrong number of axes: expected 4" in problem((5, 2))
    assert "not both" in problem(strides=2, dilation_rate=2)
    assert "'filters' is wrong" in problem(filters=0)
    assert "'padding' is wrong" in problem(padding="causal")
    assert "the window does not fit" in problem((3, 1, 2))
    assert "too many steps: expected at most 512" in problem((513, 2, 2))
