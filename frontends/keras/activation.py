"""Activations, by name, as layers and as functions. Formulas and defaults are those of keras.activations, keras.ops and
keras.layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from convc import ops
from convc.errors import ModelError, ShapeError, UnsupportedError
from convc.frontends.keras.config import Fields, axis_in, class_of, is_integer, show
from convc.frontends.keras.identity import Identity
from convc.frontends.keras.initializers import Initializer, parse_initializer
from convc.frontends.keras.operator import Arguments, register_function
from convc.frontends.keras.registry import Layer, Weight, nearest, parse_layer, register
from convc.frontends.keras.slice import cut
from convc.frontends.keras.softmax import Softmax, Sparsemax
from convc.ir import Node, Origin, TensorType, make


@dataclass(frozen=True)
class Activation(Layer):
    """An elementwise function without weights."""

    op: ops.Unary

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        return make(self.op, *inputs, origin=origin)


@dataclass(frozen=True)
class Glu(Layer):
    """The first half of an axis times the sigmoid of the second."""

    axis: int = -1

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        (x,) = inputs
        axis = axis_in(self.axis, x.type.rank)
        extent = x.type.shape[axis]
        if extent % 2:
            raise ShapeError("", f"axis {axis} has no two halves", expected="an even size", received=str(extent))
        half, gate = (cut(x, axis, start, extent // 2, origin) for start in (0, extent // 2))
        return make(ops.Multiply(), half, make(ops.Sigmoid(), gate, origin=origin), origin=origin)


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
        return make(ops.PRelu(), *inputs, weights["alpha"], origin=origin)


def _slope(fields: Fields, default: float, key: str = "negative_slope") -> float:
    """A slope below zero; Keras's layers refuse negative ones."""
    value = fields.number(key, default)
    if value < 0:
        raise ModelError("", "'negative_slope' is wrong", expected="a number from 0 up", received=show(value))
    return value


def _relu(fields: Fields) -> Layer:
    highest = None if fields.raw("max_value") is None else fields.number("max_value")
    threshold = fields.number("threshold", 0.0)
    for key, value in (("max_value", highest), ("threshold", threshold)):
        if value is not None and value < 0:
            raise ModelError("", f"{key!r} is wrong", expected="a number from 0 up", received=show(value))
    return Activation(ops.Relu(highest, _slope(fields, 0.0), threshold))


def _leaky_relu(fields: Fields) -> Layer:
    return Activation(ops.Relu(negative_slope=fields.number("negative_slope", 0.2)))


def _leaky_relu_layer(fields: Fields) -> Layer:
    """Keras 2 calls the slope alpha."""
    key = "negative_slope" if fields.raw("negative_slope") is not None else "alpha"
    return Activation(ops.Relu(negative_slope=_slope(fields, 0.3, key)))


def _celu(fields: Fields) -> Layer:
    alpha = fields.number("alpha", 1.0)
    if alpha == 0:
        raise ModelError("", "'alpha' is wrong", expected="a number that is not 0", received=show(alpha))
    return Activation(ops.Celu(alpha))


def _plain(op: ops.Unary) -> Callable[[Fields], Layer]:
    return lambda fields: Activation(op)


_FUNCTIONS: dict[str, Callable[[Fields], Layer]] = {
    "celu": _celu,
    "elu": lambda fields: Activation(ops.Elu(fields.number("alpha", 1.0))),
    "gelu": lambda fields: Activation(ops.Gelu(fields.flag("approximate", True))),
    "glu": lambda fields: Glu(fields.integer("axis", -1, minimum=None)),
    "hard_shrink": lambda fields: Activation(ops.HardShrink(fields.number("threshold", 0.5))),
    "hard_sigmoid": _plain(ops.HardSigmoid()),
    "hard_silu": _plain(ops.HardSilu()),
    "hard_tanh": _plain(ops.Clip(-1.0, 1.0)),
    "leaky_relu": _leaky_relu,
    "log_sigmoid": _plain(ops.LogSigmoid()),
    "relu": _plain(ops.Relu()),
    "relu6": _plain(ops.Relu(max_value=6.0)),
    "selu": _plain(ops.Selu()),
    "sigmoid": _plain(ops.Sigmoid()),
    "silu": _plain(ops.Silu()),
    "soft_shrink": lambda fields: Activation(ops.SoftShrink(fields.number("threshold", 0.5))),
    "softplus": _plain(ops.Softplus()),
    "softsign": _plain(ops.Softsign()),
    "sparse_plus": _plain(ops.SparsePlus()),
    "sparse_sigmoid": _plain(ops.HardSigmoid(0.5, 0.5)),
    "squareplus": lambda fields: Activation(ops.Squareplus(fields.number("b", 4.0))),
    "tanh_shrink": _plain(ops.TanhShrink()),
    "threshold": lambda fields: Activation(ops.Threshold(fields.number("threshold"), fields.number("default_value"))),
}
"""Functions of keras.ops with their arguments; those without a default must be there."""

_BY_NAME: dict[str, Layer] = {
    **{name: parse(Fields({})) for name, parse in _FUNCTIONS.items() if name != "threshold"},
    "exponential": Activation(ops.Exp()),
    "gelu": Activation(ops.Gelu()),
    "hard_swish": Activation(ops.HardSilu()),
    "linear": Identity(),
    "log_softmax": Softmax((-1,), ops.LogSoftmax),
    "mish": Activation(ops.Mish()),
    "softmax": Softmax((-1,)),
    "sparsemax": Sparsemax(),
    "swish": Activation(ops.Silu()),
    "tanh": Activation(ops.Tanh()),
}
_LEGACY: dict[str, Layer] = {"hard_sigmoid": Activation(ops.HardSigmoid(0.2, 0.5))}
"""Names whose formula was another in Keras 2."""

MAX_NESTING = 16
"""Activation layers within Activation layers; more is taken for an attack."""
_AS_LAYERS = ("Activation", "ELU", "Identity", "LeakyReLU", "ReLU", "Softmax")
"""Layers without weights that `activation=` takes as objects."""


def parse_activation(fields: Fields, key: str = "activation") -> Layer:
    """The activation under `key`: a name, a function's config, or the config of an activation layer; absent is linear.

    Raises `ConvcError` with an empty subject.
    """
    return _parse(fields.raw(key), fields.legacy)


def _parse(value: object, legacy: bool, depth: int = 0) -> Layer:
    if value is None:
        return Identity()
    kind = class_of(value)
    inner = value.get("config") if isinstance(value, Mapping) else None
    if kind == "__lambda__":
        raise UnsupportedError(
            "", "its activation is a lambda: Python code, which is never executed", remedy="use a named activation"
        )
    if kind == "PReLU":
        message = "PReLU, which has weights, is not supported as an activation of another layer"
        raise UnsupportedError("", message, remedy="put a PReLU layer behind it")
    if kind in _AS_LAYERS and isinstance(inner, Mapping) and isinstance(value, Mapping) and not _is_custom(value):
        if kind == "Activation" and depth < MAX_NESTING:
            return _parse(inner.get("activation"), legacy, depth + 1)
        if kind != "Activation":
            return parse_layer(kind, Fields(inner, legacy))
    name = inner if kind == "function" else value
    if not isinstance(name, str):
        raise UnsupportedError("", "this activation is not supported", received=kind or show(value))
    if name == "threshold":
        message = "the activation 'threshold' needs arguments, which a name does not give"
        raise UnsupportedError("", message, remedy="call keras.activations.threshold in a Functional model")
    known = {**_BY_NAME, **_LEGACY} if legacy else _BY_NAME
    if name not in known:
        raise UnsupportedError(
            "", "this activation is not supported", received=show(name), remedy=nearest(name, tuple(known))
        )
    return known[name]


def _is_custom(value: Mapping[str, object]) -> bool:
    """Whether the object's class is the user's own."""
    module, registered = value.get("module"), value.get("registered_name")
    own = module is None or str(module)[:100].split(".")[0] in ("keras", "tf_keras")
    return not own or ">" in str(registered)[:1000]


def _prelu(fields: Fields) -> Layer:
    shared = fields.raw("shared_axes")
    axes = (shared,) if is_integer(shared) else () if shared is None else fields.integers("shared_axes", None)
    return PRelu(axes, parse_initializer(fields, "alpha_initializer", "zeros"))  # type: ignore[arg-type]


_LAYERS: dict[str, tuple[Callable[[Fields], Layer], str]] = {
    "Activation": (parse_activation, "by name: " + ", ".join(sorted(_BY_NAME))),
    "ReLU": (_relu, "max_value, negative_slope, threshold"),
    "LeakyReLU": (_leaky_relu_layer, "any slope"),
    "ELU": (_FUNCTIONS["elu"], "any alpha"),
    "PReLU": (_prelu, "shared_axes"),
}
for _name, (_read, _note) in _LAYERS.items():
    register(_name, _read, _note)
for _name, _read in _FUNCTIONS.items():

    def _build(call: Arguments, read: Callable[[Fields], Layer] = _read) -> Node:
        return read(call.fields).build([call.tensor("x")], {}, call.origin)

    register_function(_name, "x", _build)
