"""Activations, by name and as layers. Formulas and defaults are those of keras.activations and keras.layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from convc import ops
from convc.errors import ModelError, UnsupportedError
from convc.frontends.keras.config import Fields, class_of, show
from convc.frontends.keras.identity import Identity
from convc.frontends.keras.initializers import Initializer, parse_initializer
from convc.frontends.keras.registry import Layer, Weight, nearest, parse_layer, register
from convc.frontends.keras.softmax import Softmax
from convc.ir import Node, Origin, TensorType, make


@dataclass(frozen=True)
class Activation(Layer):
    """An elementwise function without weights."""

    op: ops.Unary

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        return make(self.op, *inputs, origin=origin)


@dataclass(frozen=True)
class PRelu(Layer):
    """x above zero, alpha * x below, with alpha learnt for each element but for the shared axes."""

    shared_axes: tuple[int, ...]
    initializer: Initializer

    def weights(self, *inputs: TensorType) -> tuple[Weight, ...]:
        axes = range(1, inputs[0].rank)
        if not set(self.shared_axes) <= set(axes):
            raise ModelError("", "'shared_axes' is wrong", expected=str([*axes]), received=str(self.shared_axes))
        shape = tuple(1 if axis in self.shared_axes else inputs[0].shape[axis] for axis in axes)
        return (Weight("alpha", shape, self.initializer),)

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        (x,) = inputs
        minus_one = ops.constant(np.array([-1], np.float32), origin)
        positive = make(ops.Relu(), x, origin=origin)
        negative = make(ops.Add(), x, make(ops.Multiply(), positive, minus_one, origin=origin), origin=origin)
        scaled = make(ops.Multiply(), negative, weights["alpha"], origin=origin)
        return make(ops.Add(), positive, scaled, origin=origin)


_BY_NAME: dict[str, Layer] = {
    "linear": Identity(),
    "softmax": Softmax((-1,)),
    "relu": Activation(ops.Relu()),
    "relu6": Activation(ops.Relu(max_value=6.0)),
    "leaky_relu": Activation(ops.Relu(negative_slope=0.2)),
    "sigmoid": Activation(ops.Sigmoid()),
    "hard_sigmoid": Activation(ops.HardSigmoid()),
    "silu": Activation(ops.Silu()),
    "swish": Activation(ops.Silu()),
    "hard_silu": Activation(ops.HardSilu()),
    "hard_swish": Activation(ops.HardSilu()),
    "tanh": Activation(ops.Tanh()),
    "exponential": Activation(ops.Exp()),
    "elu": Activation(ops.Elu()),
    "selu": Activation(ops.Selu()),
    "gelu": Activation(ops.Gelu()),
    "softplus": Activation(ops.Softplus()),
    "softsign": Activation(ops.Softsign()),
    "mish": Activation(ops.Mish()),
}
_LEGACY: dict[str, Layer] = {"hard_sigmoid": Activation(ops.HardSigmoid(0.2, 0.5))}
"""Names whose formula was another in Keras 2."""

_AS_LAYERS = ("ReLU", "LeakyReLU", "ELU", "Softmax")
"""Layers without weights that `activation=` takes as objects."""


def parse_activation(fields: Fields, key: str = "activation") -> Layer:
    """The activation under `key`: a name, a function's config, or the config of an activation layer; absent is linear.

    Raises `ConvcError` with an empty subject.
    """
    value = fields.raw(key)
    if value is None:
        return Identity()
    kind = class_of(value)
    inner = value.get("config") if isinstance(value, Mapping) else None
    if kind == "__lambda__":
        raise UnsupportedError(
            "", "its activation is a lambda: Python code, which is never executed", remedy="use a named activation"
        )
    if kind in _AS_LAYERS and isinstance(inner, Mapping):
        return parse_layer(kind, Fields(inner, fields.legacy))
    name = inner if kind == "function" else value
    if not isinstance(name, str):
        raise UnsupportedError("", "this activation is not supported", received=kind or show(value))
    known = {**_BY_NAME, **_LEGACY} if fields.legacy else _BY_NAME
    if name not in known:
        raise UnsupportedError(
            "", "this activation is not supported", received=show(name), remedy=nearest(name, tuple(known))
        )
    return known[name]


def _relu(fields: Fields) -> Layer:
    highest = None if fields.raw("max_value") is None else fields.number("max_value")
    return Activation(
        ops.Relu(highest, _scalar(fields, "negative_slope", default=0.0), _scalar(fields, "threshold", default=0.0))
    )


def _prelu(fields: Fields) -> Layer:
    axes = () if fields.raw("shared_axes") is None else fields.integers("shared_axes", None)
    return PRelu(axes, parse_initializer(fields, "alpha_initializer", "zeros"))


def _scalar(fields: Fields, *keys: str, default: float) -> float:
    """The number under the first of `keys` that is there."""
    for key in keys:
        if fields.raw(key) is not None:
            return fields.number(key)
    return default


_LAYERS: dict[str, tuple[Callable[[Fields], Layer], str]] = {
    "Activation": (parse_activation, "by name: " + ", ".join(sorted(_BY_NAME))),
    "ReLU": (_relu, "max_value, negative_slope, threshold"),
    "LeakyReLU": (
        lambda fields: Activation(ops.Relu(negative_slope=_scalar(fields, "negative_slope", "alpha", default=0.3))),
        "any slope",
    ),
    "ELU": (lambda fields: Activation(ops.Elu(_scalar(fields, "alpha", default=1.0))), "any alpha"),
    "PReLU": (_prelu, "shared_axes"),
}
for _name, (_parse, _note) in _LAYERS.items():
    register(_name, _parse, _note)
