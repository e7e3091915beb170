"""Recurrent layers, the wrappers around layers, and masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convc.ir import Array, Shape
from tests.grid.conv import FORMATS
from tests.grid.space import Arguments, Made, Rng, Space, ordered, pick, standard_normal
from tests.support.keras import keras

L = keras.layers

LENGTHS = (1, 2, 7, 17)
UNITS = (1, 5, 33)
FEATURES = (1, 3, 10)
FLAGS = (False, True)
ELEMENTWISE = ("tanh", None, "relu", "hard_sigmoid", "gelu")
STEPWISE = "softmax"
"""Not elementwise: each step becomes nodes of its own, so sequences are short."""
STATEFUL = "a run keeps nothing for the next"


def _form() -> dict[str, Sequence[Any]]:
    return {
        "return_sequences": FLAGS,
        "return_state": FLAGS,
        "go_backwards": FLAGS,
        "unroll": FLAGS,
    }


def _sequence(rng: Rng, a: Arguments) -> Shape:
    short = STEPWISE in (a.get("activation"), a.get("recurrent_activation")) or a.get("unroll")
    return (pick(rng, LENGTHS[:2] if short else LENGTHS), pick(rng, FEATURES))


def _layer(name: str, **own: Sequence[Any]) -> Space:
    return Space(
        name,
        {"units": UNITS, "activation": (*ELEMENTWISE, STEPWISE), **own, "use_bias": FLAGS, **_form()},
        _sequence,
        refused={"stateful": STATEFUL},
    )


RECURRENT = ("sigmoid", "hard_sigmoid", STEPWISE)
"""From 0 to 1: gates outside let a GRU's state grow, and with it what Keras itself rounds."""


def _cell(*kinds: str) -> Made:
    """A cell, or several in a stack, with few units each."""
    label = " and ".join(kinds)
    if len(kinds) == 1:
        return Made(f"{label}(5)", lambda: getattr(L, kinds[0])(5))
    return Made(label, lambda: [getattr(L, kind)(3 + place) for place, kind in enumerate(kinds)])


def _rnn() -> Space:
    cells = (
        _cell("SimpleRNNCell"),
        _cell("LSTMCell"),
        _cell("GRUCell"),
        _cell("LSTMCell", "GRUCell"),
        _cell("GRUCell", "SimpleRNNCell", "LSTMCell"),
    )
    # Keras nests the states of a stack, which no model can have as outputs.
    return Space(
        "RNN",
        {"cell": cells, **_form(), "zero_output_for_mask": FLAGS},
        _sequence,
        suits=lambda a: not (a["return_state"] and " and " in a["cell"].label),
        refused={"stateful": STATEFUL},
    )


def _inner(label: str, make: Any) -> Made:
    return Made(label, make)


def _bidirectional() -> Space:
    inner = (
        _inner("LSTM(5)", lambda: L.LSTM(5)),
        _inner("LSTM(4, return_sequences=True)", lambda: L.LSTM(4, return_sequences=True)),
        _inner("GRU(3, return_state=True)", lambda: L.GRU(3, return_state=True)),
        _inner("SimpleRNN(16, return_sequences=True)", lambda: L.SimpleRNN(16, return_sequences=True)),
        _inner("RNN(GRUCell(3))", lambda: L.RNN(L.GRUCell(3))),
    )
    other = _inner("GRU(5, go_backwards=True)", lambda: L.GRU(5, go_backwards=True))
    return Space(
        "Bidirectional",
        {
            "layer": inner,
            "merge_mode": ("concat", "sum", "mul", "ave", None),
            "backward_layer": (None, other),
            "weights": (None,),
        },
        lambda rng, a: (pick(rng, LENGTHS), pick(rng, FEATURES)),
        suits=lambda a: a["backward_layer"] is None or (a["layer"].label in ("LSTM(5)", "RNN(GRUCell(3))")
        and (a["merge_mode"] in ("concat", None) or a["layer"].label == "LSTM(5)")),
    )  # fmt: skip


def _model() -> Any:
    return keras.Sequential([keras.Input((6, 5, 3)), L.Conv2D(2, 3), L.Flatten(), L.Dense(4)])


def _time_distributed() -> Space:
    inner = (
        _inner("Dense(5, activation='softmax')", lambda: L.Dense(5, activation="softmax")),
        _inner("Conv2D(4, 3, strides=2)", lambda: L.Conv2D(4, 3, strides=2)),
        _inner("BatchNormalization()", L.BatchNormalization),
        _inner("GlobalMaxPooling2D()", L.GlobalMaxPooling2D),
        _inner("Flatten()", L.Flatten),
        _inner("TimeDistributed(LSTM(4))", lambda: L.TimeDistributed(L.LSTM(4))),
        _inner("Sequential([...])", _model),
    )
    return Space("TimeDistributed", {"layer": inner}, lambda rng, a: (pick(rng, (1, 2, 5)), 6, 5, 3))


def _conv_lstm(rank: int) -> Space:
    def shape(rng: Rng, a: Arguments) -> Shape:
        extents = tuple(pick(rng, (3, 4, 5)) for _ in range(rank))
        return (pick(rng, (1, 2, 3)), *ordered(a, extents, pick(rng, FEATURES)))

    return Space(
        f"ConvLSTM{rank}D",
        {
            "filters": (1, 3, 16),
            "kernel_size": (1, 2, (3,) * rank),
            "strides": (1, 2, (1,) * rank),
            "padding": ("valid", "same", "SAME"),
            "data_format": FORMATS,
            "dilation_rate": (1, (2,) * rank) if rank < 3 else (1,),
            "activation": ("tanh", "relu", STEPWISE),
            "recurrent_activation": ("sigmoid", "hard_sigmoid"),
            "use_bias": FLAGS,
            **{name: values for name, values in _form().items() if name != "unroll"},
        },
        shape,
        suits=lambda a: 1 in (a["strides"], a["dilation_rate"])
        and not (a["dilation_rate"] != 1 and a["padding"] == "valid" and a["kernel_size"] == (3,) * rank),
        refused={"stateful": STATEFUL},
    )  # fmt: skip


def _some_steps(rng: Rng, shape: Shape) -> Array:
    """Steps of which some are all 0, some all 2."""
    x = standard_normal(rng, shape)
    x[rng.random(shape[:-1]) < 0.3] = 0
    x[rng.random(shape[:-1]) < 0.3] = 2
    return x


MASKING = Space(
    "Masking",
    {"mask_value": (0.0, 2.0, 2)},
    lambda rng, a: (pick(rng, LENGTHS), pick(rng, FEATURES)),
    apply=lambda layer, inputs: [layer(inputs[0]), L.LSTM(3, return_sequences=True)(layer(inputs[0]))],
    feed=_some_steps,
)

SPACES = [
    _layer("SimpleRNN"),
    _layer("LSTM", recurrent_activation=RECURRENT, use_cudnn=("auto", False)),
    _layer("GRU", recurrent_activation=RECURRENT, reset_after=FLAGS, use_cudnn=("auto", False)),
    _rnn(),
    _bidirectional(),
    _time_distributed(),
    *(_conv_lstm(rank) for rank in (1, 2, 3)),
    MASKING,
]
