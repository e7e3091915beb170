"""The argument space of a layer, and the seeded cases that are drawn from it, each compiled and compared with Keras.

A `Space` names every argument of a layer that has a meaning at inference, with the values worth telling apart:

    Space(
        "Conv1D",
        {"filters": (1, 5, 17), "kernel_size": (1, 2, (3,)), "padding": ("valid", "SAME", "causal"), …},
        lambda rng, a: channels(rng, a, (size(rng), pick(rng, CHANNELS))),
        suits=lambda a: …,                      # combinations that Keras refuses, or that make no sense, are False
        refused={"lora_rank": "…why"},          # arguments that convc refuses by name, or a value of them
    )

The default suite draws as many cases as show every value of every argument once, `pytest -m slow tests/grid`
`MANY` from each space. To run one space: `pytest tests/grid -k Conv1D`. What fails is printed as it would be written.
Values that are objects are `Made("label", factory)`, made anew for each case. A space named "keras.ops.mean" is of a
function, called as f(*inputs, **arguments). `docs/supported.md` is written from the spaces.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convc.ir import Array, Shape
from tests.support.keras import keras

Arguments = Mapping[str, Any]
Rng = np.random.Generator

MANY = 60
"""Cases of each space behind the marker `slow`."""
TRIES = 2000
"""Draws for one case; a value that fits into none of them is a mistake in the space."""

SIZES = (1, 2, 3, 4, 5, 7, 8, 11)
"""Spatial extents: odd, even and tiny."""
CHANNELS = (1, 2, 3, 5, 7, 10, 17)
"""Channel counts, most of them no multiple of a vector."""
BATCHES = (1, 2, 3)

IGNORED = {
    "name", "dtype", "trainable", "seed", "activity_regularizer", "kernel_regularizer", "bias_regularizer",
    "kernel_constraint", "bias_constraint", "kernel_initializer", "bias_initializer", "depthwise_initializer",
    "depthwise_regularizer", "depthwise_constraint", "pointwise_initializer", "pointwise_regularizer",
    "pointwise_constraint", "recurrent_initializer", "recurrent_regularizer", "recurrent_constraint",
    "beta_initializer", "gamma_initializer", "beta_regularizer", "gamma_regularizer", "beta_constraint",
    "gamma_constraint", "moving_mean_initializer", "moving_variance_initializer", "momentum", "synchronized",
    "embeddings_initializer", "embeddings_regularizer", "embeddings_constraint", "alpha_initializer",
    "alpha_regularizer", "alpha_constraint", "unit_forget_bias", "dropout", "recurrent_dropout",
}  # fmt: skip
"""Arguments that mean nothing when a model with weights is run; they are accepted everywhere."""


@dataclass(frozen=True, eq=False)
class Made:
    """A value that is an object: `make` gives a new one, the label stands for it in messages and in the page."""

    label: str
    make: Callable[[], Any]

    def __repr__(self) -> str:
        return self.label


def standard_normal(rng: Rng, shape: Shape) -> Array:
    """What inputs are drawn from unless a space says otherwise."""
    return rng.standard_normal(shape, np.float32)


@dataclass(frozen=True, eq=False)
class Space:
    """Arguments and input shapes that are drawn; see the module's docstring.

    `shapes` gives an input's shape without the batch, or a list of them for several inputs. `apply` is how a layer is
    called, `feed` draws an input's values, `dtype` is the inputs'. `suits` is asked with the arguments before the
    shapes are drawn.
    """

    layer: str
    arguments: Mapping[str, Sequence[Any]]
    shapes: Callable[[Rng, Arguments], Shape | list[Shape]]
    suits: Callable[[Arguments], bool] = lambda arguments: True
    apply: Callable[[Any, list[Any]], Any] = lambda layer, inputs: layer(inputs[0] if len(inputs) == 1 else inputs)
    feed: Callable[[Rng, Shape], Array] = standard_normal
    dtype: str = "float32"
    refused: Mapping[str, str] = field(default_factory=dict)
    listed: bool = False
    """Whether a function takes its tensors as one list."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One case: drawn arguments and input shapes."""

    space: Space
    arguments: Arguments
    shapes: list[Shape]

    @property
    def label(self) -> str:
        """The call, as it would be written."""
        text = ", ".join(f"{key}={value!r}" for key, value in self.arguments.items())
        return f"{self.space.layer}({text}) on {' and '.join(map(str, self.shapes))}"

    def call(self, inputs: list[Any]) -> Any:
        """Keras's output tensors for symbolic inputs."""
        made = {k: value.make() if isinstance(value, Made) else value for k, value in self.arguments.items()}
        name = self.space.layer
        if name.startswith("keras.ops."):
            function: Any = keras
            for part in name.split(".")[1:]:
                function = getattr(function, part)
            return function(inputs, **made) if self.space.listed else function(*inputs, **made)
        return self.space.apply(getattr(keras.layers, name)(**made), inputs)


def samples(space: Space, least: int = 0) -> list[Sample]:
    """Cases in which every value of every argument occurs, and at least `least` of them; the same ones at every call.

    Raises `AssertionError` where a value suits no case.
    """
    rng = np.random.default_rng(zlib.crc32(space.layer.encode()))
    missing = [(name, place) for name, values in space.arguments.items() for place in range(len(values))]
    drawn: list[Sample] = []
    while missing or len(drawn) < max(least, len(BATCHES)):
        places = _draw(space, rng, missing)
        arguments = {name: space.arguments[name][place] for name, place in places.items()}
        shapes = space.shapes(rng, arguments)
        drawn.append(Sample(space, arguments, shapes if isinstance(shapes, list) else [shapes]))
        missing = [(name, place) for name, place in missing if places[name] != place]
    return drawn


def _draw(space: Space, rng: Rng, missing: Sequence[tuple[str, int]]) -> dict[str, int]:
    """A place in the values of every argument, with the first that is missing and as many others as suit it."""
    wanted: dict[str, int] = {}
    for name, place in missing:
        wanted.setdefault(name, place)
    for attempt in range(TRIES):
        places = {name: int(rng.integers(len(values))) for name, values in space.arguments.items()}
        share = 1.0 - attempt / (TRIES / 2)
        places.update({name: place for name, place in wanted.items() if rng.random() < share})
        if missing:
            places[missing[0][0]] = missing[0][1]
        if space.suits({name: space.arguments[name][place] for name, place in places.items()}):
            return places
    name, place = missing[0] if missing else ("", 0)
    raise AssertionError(f"{space.layer}: no case suits {name}={space.arguments[name][place]!r}")


def pick(rng: Rng, values: Sequence[Any]) -> Any:
    """One of the values."""
    return values[int(rng.integers(len(values)))]


def spatial(rng: Rng, rank: int, least: int = 1, most: int = 11) -> Shape:
    """Spatial extents, small ones where there are three."""
    fitting = [extent for extent in SIZES if least <= extent <= (most if rank < 3 else max(6, least))]
    return tuple(pick(rng, fitting or (least,)) for _ in range(rank))


def ordered(arguments: Arguments, extents: Shape, channels: int) -> Shape:
    """The input's shape in the axis order that `data_format` asks for."""
    return (channels, *extents) if arguments.get("data_format") == "channels_first" else (*extents, channels)


def each(value: int | Sequence[int], rank: int) -> Shape:
    """One value for each axis, where one alone stands for all."""
    return (value,) * rank if isinstance(value, int) else tuple(value)


def parts(drawn: Sequence[Sample], size: int) -> Iterator[tuple[int, Sequence[Sample]]]:
    """Batch size and samples: in turn, so that all batch sizes occur; at most `size` samples at once."""
    for index, batch in enumerate(BATCHES):
        mine = drawn[index :: len(BATCHES)]
        for start in range(0, len(mine), size):
            yield batch, mine[start : start + size]
