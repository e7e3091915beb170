"""Keras's initializers in NumPy: what draws the weights of a config that comes without any.

The distributions are those of keras.initializers; the streams of random numbers are NumPy's. Seeds in a config are
ignored, the seed that the user gives decides.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from convc.errors import ModelError, UnsupportedError
from convc.frontends.keras.config import ARRAY_CLASSES, Fields, array, class_of, is_number, plain, show
from convc.ir import Array, Shape

ORTHOGONAL_LIMIT = 1 << 38
"""Most multiplications, about, that orthogonalising a weight may take: some seconds."""
TRUNCATED_STDDEV = 0.87962566103423978
"""Standard deviation of a standard normal truncated to [-2, 2]."""


class Initializer(ABC):
    """Draws a float32 array of a given shape."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, shape: Shape) -> Array:
        """The values. Raises `ConvcError` with an empty subject where the shape does not suit."""


@dataclass(frozen=True)
class Constant(Initializer):
    """The same value everywhere; Zeros and Ones too."""

    value: float

    def draw(self, rng: np.random.Generator, shape: Shape) -> Array:
        return np.full(shape, self.value, np.float32)


@dataclass(frozen=True, eq=False)
class Values(Initializer):
    """An array of the config: of the weight's shape or, where `broadcast`, of one that broadcasts to it."""

    values: Array
    broadcast: bool

    def draw(self, rng: np.random.Generator, shape: Shape) -> Array:
        own = self.values.shape
        behind = zip(reversed(own), reversed(shape), strict=False)
        fits = len(own) <= len(shape) and all(extent in (1, wanted) for extent, wanted in behind)
        if own != shape and not (self.broadcast and fits):
            raise ModelError(
                "", "the array of an initializer has the wrong shape", expected=str(shape), received=str(own)
            )
        return np.array(np.broadcast_to(self.values, shape), np.float32)


@dataclass(frozen=True)
class RandomUniform(Initializer):
    """Uniform in [low, high)."""

    low: float
    high: float

    def draw(self, rng: np.random.Generator, shape: Shape) -> Array:
        return self.low + (self.high - self.low) * rng.random(shape, np.float32)


@dataclass(frozen=True)
class RandomNormal(Initializer):
    """Normal; where `truncated`, values beyond two standard deviations are drawn again."""

    mean: float
    stddev: float
    truncated: bool = False

    def draw(self, rng: np.random.Generator, shape: Shape) -> Array:
        values = rng.standard_normal(shape, np.float32)
        while self.truncated and (outside := np.abs(values) > 2).any():
            values[outside] = rng.standard_normal(int(outside.sum()), np.float32)
        return self.mean + self.stddev * values


@dataclass(frozen=True)
class VarianceScaling(Initializer):
    """Variance `scale` / n with n the fan in, the fan out or their average; Glorot, He and LeCun are cases of it.

    `axes` are those that feed into the weight and those that it feeds, where the config names both.
    """

    scale: float
    mode: str
    distribution: str
    axes: tuple[tuple[int, ...], tuple[int, ...]] | None = None

    def draw(self, rng: np.random.Generator, shape: Shape) -> Array:
        fan_in, fan_out = fans(shape) if self.axes is None else (_extent(shape, axes) for axes in self.axes)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        deviation = math.sqrt(self.scale / max(1.0, fan))
        if self.distribution == "uniform":
            limit = math.sqrt(3) * deviation
            return RandomUniform(-limit, limit).draw(rng, shape)
        if self.distribution == "untruncated_normal":
            return RandomNormal(0, deviation).draw(rng, shape)
        return RandomNormal(0, deviation / TRUNCATED_STDDEV, truncated=True).draw(rng, shape)


@dataclass(frozen=True)
class Orthogonal(Initializer):
    """`gain` times a matrix with orthonormal columns, or rows where there are fewer (Saxe et al. 2014)."""

    gain: float

    def draw(self, rng: np.random.Generator, shape: Shape) -> Array:
        if len(shape) < 2:
            raise ModelError("", "Orthogonal needs a weight of two axes or more", received=str(shape))
        rows, columns = math.prod(shape[:-1]), shape[-1]
        if rows * columns * min(rows, columns) > ORTHOGONAL_LIMIT:
            message = "the weight is too large to be made orthogonal"
            raise UnsupportedError("", message, received=str(shape), remedy="pass a file with weights")
        q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
        q *= np.sign(np.diag(r))
        return (self.gain * (q if rows >= columns else q.T)).reshape(shape).astype(np.float32)


@dataclass(frozen=True)
class Identity(Initializer):
    """`gain` times the identity matrix, cut or filled up with zeros."""

    gain: float

    def draw(self, rng: np.random.Generator, shape: Shape) -> Array:
        if len(shape) != 2:
            raise ModelError("", "Identity needs a weight of two axes", received=str(shape))
        return self.gain * np.eye(*shape, dtype=np.float32)


@dataclass(frozen=True)
class Unknown(Initializer):
    """One that this module does not have. It matters only where weights are drawn."""

    name: str

    def draw(self, rng: np.random.Generator, shape: Shape) -> Array:
        raise UnsupportedError("", f"the initializer {self.name!r} is not supported", remedy="pass a file with weights")


def fans(shape: Shape) -> tuple[int, int]:
    """Units that feed into, and are fed by, a weight: of a dense layer or, at three axes and more, a convolution."""
    if len(shape) < 2:
        return (math.prod(shape),) * 2
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


def parse_initializer(fields: Fields, key: str, default: str) -> Initializer:
    """The initializer that the config has under `key`: a name, an object or an array; null is Glorot's, as in Keras.

    Raises `ModelError` with an empty subject.
    """
    value = fields.values.get(key, default)
    if value is None:
        value = "glorot_uniform"
    if class_of(value) in ARRAY_CLASSES:
        return _values(plain(value), broadcast=False)
    config: object = {}
    name = class_of(value)
    if isinstance(value, Mapping):
        config = value.get("config")
    elif isinstance(value, str):
        name = value
    if not name or not (config is None or isinstance(config, Mapping)):
        raise ModelError("", f"'{key}' is wrong", expected="the name or config of an initializer", received=show(value))
    parse = _PARSERS.get(re.sub(r"[_\W]", "", name.lower()).removesuffix("initializer"))
    return parse(Fields(config or {}, fields.legacy)) if parse else Unknown(name[:100])


def _extent(shape: Shape, axes: Sequence[int]) -> int:
    """How many elements a weight has over some of its axes."""
    if any(not -len(shape) <= axis < len(shape) for axis in axes):
        expected = f"{-len(shape)} to {len(shape) - 1}"
        raise ModelError("", "an axis of an initializer is outside the weight", expected=expected, received=str(axes))
    return math.prod(shape[axis] for axis in axes)


def _values(value: object, *, broadcast: bool) -> Initializer:
    values = array(value)
    if values is None:
        message = "the array of an initializer is wrong"
        raise ModelError("", message, expected="finite numbers in lists of one length", received=show(value))
    return Values(values, broadcast)


def _constant(fields: Fields) -> Initializer:
    """A number, or an array that broadcasts to the weight."""
    value = fields.raw("value", 0.0)
    return Constant(fields.number("value", 0.0)) if is_number(value) else _values(value, broadcast=True)


def _scaled(scale: float, mode: str, distribution: str, fields: Fields) -> Initializer:
    axes = [fields.raw(key) for key in ("input_axes", "output_axes")]
    if any(value is None for value in axes):  # Keras looks at neither where one is missing
        return VarianceScaling(scale, mode, distribution)
    inputs, outputs = (fields.integers(key, None, minimum=None) for key in ("input_axes", "output_axes"))
    return VarianceScaling(scale, mode, distribution, (inputs, outputs))


def _named(scale: float, mode: str, distribution: str) -> Callable[[Fields], Initializer]:
    return lambda fields: _scaled(scale, mode, distribution, fields)


def _variance_scaling(fields: Fields) -> Initializer:
    scale = fields.number("scale", 1.0)
    if scale <= 0:
        raise ModelError("", "'scale' is wrong", expected="a positive number", received=str(scale))
    mode = fields.choice("mode", "fan_in", ("fan_in", "fan_out", "fan_avg"))
    names = ("truncated_normal", "normal", "uniform", "untruncated_normal")
    distribution = fields.choice("distribution", "truncated_normal", names)
    return _scaled(scale, mode, "truncated_normal" if distribution == "normal" else distribution, fields)


_PARSERS: dict[str, Callable[[Fields], Initializer]] = {
    "zeros": lambda fields: Constant(0.0),
    "ones": lambda fields: Constant(1.0),
    "zero": lambda fields: Constant(0.0),
    "one": lambda fields: Constant(1.0),
    "constant": _constant,
    "randomuniform": lambda fields: RandomUniform(fields.number("minval", -0.05), fields.number("maxval", 0.05)),
    "uniform": lambda fields: RandomUniform(fields.number("minval", -0.05), fields.number("maxval", 0.05)),
    "normal": lambda fields: RandomNormal(fields.number("mean", 0.0), fields.number("stddev", 0.05)),
    "randomnormal": lambda fields: RandomNormal(fields.number("mean", 0.0), fields.number("stddev", 0.05)),
    "truncatednormal": lambda fields: RandomNormal(fields.number("mean", 0.0), fields.number("stddev", 0.05), True),
    "variancescaling": _variance_scaling,
    "glorotuniform": _named(1.0, "fan_avg", "uniform"),
    "glorotnormal": _named(1.0, "fan_avg", "truncated_normal"),
    "heuniform": _named(2.0, "fan_in", "uniform"),
    "henormal": _named(2.0, "fan_in", "truncated_normal"),
    "lecununiform": _named(1.0, "fan_in", "uniform"),
    "lecunnormal": _named(1.0, "fan_in", "truncated_normal"),
    "orthogonal": lambda fields: Orthogonal(fields.number("gain", 1.0)),
    "identity": lambda fields: Identity(fields.number("gain", 1.0)),
}
