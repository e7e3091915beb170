"""Activations of neural networks, and Clip."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from convc import ops
from convc.frontends.onnx.arithmetic import is_integer, number
from convc.frontends.onnx.registry import Call, Handler, handler
from convc.ir import Node, Op

_PLAIN: Mapping[str, Op] = {
    "HardSwish": ops.HardSilu(), "Mish": ops.Mish(), "Sigmoid": ops.Sigmoid(), "Softplus": ops.Softplus(),
    "Softsign": ops.Softsign(), "Tanh": ops.Tanh(),
}  # fmt: skip


def _activation(op: Op) -> Handler:
    def build(call: Call, x: Node) -> Node:
        return call.make(op, x)

    return build


for _name, _op in _PLAIN.items():
    handler(_name)(_activation(_op))


@handler("Relu")
def relu(call: Call, x: Node) -> Node:
    """x above zero, else 0."""
    return call.make(ops.Maximum(), x, number(call, 0, x)) if is_integer(x) else call.make(ops.Relu(), x)


@handler("PRelu")
def prelu(call: Call, x: Node, slope: Node) -> Node:
    """x above zero, slope * x below."""
    if not is_integer(x):
        return call.make(ops.PRelu(), x, slope)
    above = call.make(ops.Greater(), x, number(call, 0, x))
    return call.make(ops.Where(), above, x, call.make(ops.Multiply(), x, slope))


@handler("LeakyRelu")
def leaky_relu(call: Call, x: Node, *, alpha: float = 0.01) -> Node:
    """x above zero, alpha * x below."""
    return call.make(ops.Relu(negative_slope=alpha), x)


@handler("ThresholdedRelu")
def thresholded_relu(call: Call, x: Node, *, alpha: float = 1.0) -> Node:
    """x above alpha, else 0."""
    return call.make(ops.Relu(threshold=alpha), x)


@handler("Elu")
def elu(call: Call, x: Node, *, alpha: float = 1.0) -> Node:
    """x above zero, alpha * (exp(x) - 1) below."""
    return call.make(ops.Elu(alpha), x)


@handler("Celu")
def celu(call: Call, x: Node, *, alpha: float = 1.0) -> Node:
    """x above zero, alpha * (exp(x / alpha) - 1) below."""
    return call.make(ops.Celu(alpha), x)


@handler("Selu")
def selu(call: Call, x: Node, *, alpha: float = 1.6732632423543772, gamma: float = 1.0507009873554805) -> Node:
    """gamma * elu(x, alpha)."""
    return call.make(ops.Multiply(), call.make(ops.Elu(alpha), x), call.constant(gamma))


@handler("Gelu")
def gelu(call: Call, x: Node, *, approximate: str = "none") -> Node:
    """x * Phi(x), by erf or by tanh."""
    return call.make(ops.Gelu(approximate == "tanh"), x)


@handler("HardSigmoid")
def hard_sigmoid(call: Call, x: Node, *, alpha: float = 0.2, beta: float = 0.5) -> Node:
    """alpha * x + beta, limited to 0 and 1."""
    return call.make(ops.HardSigmoid(alpha, beta), x)


@handler("Swish")
def swish(call: Call, x: Node, *, alpha: float = 1.0) -> Node:
    """x * sigmoid(alpha * x)."""
    if alpha == 1:
        return call.make(ops.Silu(), x)
    return call.make(ops.Multiply(), x, call.make(ops.Sigmoid(), call.make(ops.Multiply(), x, call.constant(alpha))))


@handler("Shrink")
def shrink(call: Call, x: Node, *, bias: float = 0.0, lambd: float = 0.5) -> Node:
    """0 within lambd of zero, the rest moved towards zero by bias."""
    if not is_integer(x) and lambd >= 0 and bias in (0.0, lambd):
        return call.make(ops.HardShrink(lambd) if bias == 0 else ops.SoftShrink(lambd), x)
    zero = number(call, 0, x)
    above, below = (
        call.make(op, x, number(call, value, x)) for op, value in ((ops.Subtract(), bias), (ops.Add(), bias))
    )
    high = call.make(ops.Greater(), x, number(call, np.floor(lambd) if is_integer(x) else lambd, x))
    low = call.make(ops.Greater(), number(call, np.ceil(-lambd) if is_integer(x) else -lambd, x), x)
    return call.make(ops.Where(), low, below, call.make(ops.Where(), high, above, zero))


@handler("Clip")
def clip(
    call: Call,
    x: Node,
    low: Node | None = None,
    high: Node | None = None,
    *,
    min: float | None = None,
    max: float | None = None,
) -> Node:
    """Limits are attributes before opset 11; the upper one holds where they cross."""
    if not is_integer(x) and _value(low, min) == 0:
        most = _value(high, max)
        if most is not None and most > 0:
            return call.make(ops.Relu(max_value=most), x)
    for op, limit, plain in ((ops.Maximum(), low, min), (ops.Minimum(), high, max)):
        if limit is not None:
            x = call.make(op, x, limit)
        elif plain is not None:
            x = call.make(op, x, number(call, plain, x))
    return x


def _value(limit: Node | None, plain: float | None) -> float | None:
    """The limit where it is known."""
    if limit is None:
        return plain
    return float(limit.op.value.reshape(-1)[0]) if isinstance(limit.op, ops.Constant) else None
