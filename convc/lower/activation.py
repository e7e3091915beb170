"""Activations as scalar expressions, to be inlined into the kernel that makes their input."""

from __future__ import annotations

import math

from tvm import te

from convc import ops
from convc.ir import Op
from convc.lower.math import (
    Expr,
    clamp,
    exp,
    expm1,
    f32,
    gelu,
    let,
    log1p_of_exp,
    over_one_plus_exp,
    select,
    sigmoid,
    tanh,
)
from convc.lower.unary import function


def unary(op: Op, x: Expr) -> Expr:
    """`op` applied to one element."""
    return let(x, lambda x: _unary(op, x))


def prelu(x: Expr, alpha: Expr) -> Expr:
    """x above zero, alpha * x below."""
    return let(x, lambda x: te.max(x, f32(0.0)) + alpha * te.min(x, f32(0.0)))


def _unary(op: Op, x: Expr) -> Expr:
    match op:
        case ops.Relu():
            return _relu(op, x)
        case ops.Sigmoid():
            return sigmoid(x)
        case ops.HardSigmoid():
            return clamp(x * f32(op.slope) + f32(op.offset), 0.0, 1.0)
        case ops.Silu():
            return over_one_plus_exp(x, x)
        case ops.HardSilu():
            return x * clamp(x * f32(1 / 6) + f32(0.5), 0.0, 1.0)
        case ops.Tanh():
            return tanh(x)
        case ops.TanhShrink():
            return x - tanh(x)
        case ops.Elu():
            return _elu(x, op.alpha, 1.0)
        case ops.Celu():
            return _elu(x, op.alpha, op.alpha)
        case ops.Selu():
            return f32(op.SCALE) * _elu(x, op.ALPHA, 1.0)
        case ops.Gelu(approximate=True):
            inner = x * (x * x * f32(2 * 0.044715 * math.sqrt(2 / math.pi)) + f32(2 * math.sqrt(2 / math.pi)))
            return over_one_plus_exp(x, inner)
        case ops.Gelu():
            return gelu(x)
        case ops.Softplus():
            return log1p_of_exp(x)
        case ops.LogSigmoid():
            return f32(0.0) - log1p_of_exp(f32(0.0) - x)
        case ops.Softsign():
            return x / (f32(1.0) + te.abs(x))
        case ops.Mish():
            return _mish(x)
        case ops.SparsePlus():
            return let(te.max(x + f32(1.0), f32(0.0)), lambda y: select(x < f32(1.0), f32(0.25) * y * y, x))
        case ops.Squareplus():
            return _squareplus(x, op.b)
        case ops.SoftShrink() | ops.HardShrink() | ops.Threshold():
            return _shrink(op, x)
    return function(op, x)


def _relu(op: ops.Relu, x: Expr) -> Expr:
    zero = f32(0.0)
    if op.negative_slope == 0 and op.threshold == 0:
        y = te.max(x, zero)
    elif op.threshold == 0 and 0 <= op.negative_slope <= 1:
        y = te.max(x, x * f32(op.negative_slope))
    else:
        y = select(x > f32(op.threshold), x, f32(op.negative_slope) * (x - f32(op.threshold)))
    return y if op.max_value is None else te.min(y, f32(op.max_value))


def _elu(x: Expr, alpha: float, scale: float) -> Expr:
    negative = te.min(x, f32(0.0))
    power = expm1(negative if scale == 1 else negative / f32(scale))
    return te.max(f32(0.0), x) + f32(alpha) * power


def _mish(x: Expr) -> Expr:
    """x q / (q + 2) with q = e (e + 2), e = exp(x): tanh(log(1 + e)). Above 20 the quotient is 1 in float32."""

    def ratio(q: Expr) -> Expr:
        return x * (q / (q + f32(2.0)))

    return let(exp(te.min(x, f32(20.0))), lambda e: let(e * (e + f32(2.0)), ratio))


def _squareplus(x: Expr, b: float) -> Expr:
    def joined(root: Expr) -> Expr:
        return f32(0.5) * select(x > f32(0.0), x + root, f32(b) / (root - te.min(x, f32(0.0))))

    return let(te.sqrt(x * x + f32(b)), joined)


def _shrink(op: ops.SoftShrink | ops.HardShrink | ops.Threshold, x: Expr) -> Expr:
    limit, zero = f32(op.threshold), f32(0.0)
    match op:
        case ops.SoftShrink():
            return select(x > limit, x - limit, select(x < f32(-op.threshold), x + limit, zero))
        case ops.HardShrink():
            return select(te.abs(x) > limit, x, zero)
    return select(x > limit, x, f32(op.otherwise))
