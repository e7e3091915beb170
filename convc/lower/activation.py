"""Activations as scalar expressions, to be inlined into the kernel that makes their input."""

from __future__ import annotations

import math

from tvm import te, tirx

from convc import ops
from convc.ir import Op
from convc.lower.math import Expr, clamp, erf, exp, expm1, f32, let, log1p_of_exp, sigmoid, tanh


def unary(op: Op, x: Expr) -> Expr:
    """`op` applied to one element."""
    return let(x, lambda x: _unary(op, x))


def _unary(op: Op, x: Expr) -> Expr:
    match op:
        case ops.Relu():
            return _relu(op, x)
        case ops.Sigmoid():
            return sigmoid(x)
        case ops.HardSigmoid():
            return clamp(x * f32(op.slope) + f32(op.offset), 0.0, 1.0)
        case ops.Silu():
            return x * sigmoid(x)
        case ops.HardSilu():
            return x * clamp(x * f32(1 / 6) + f32(0.5), 0.0, 1.0)
        case ops.Tanh():
            return tanh(x)
        case ops.Exp():
            return exp(x)
        case ops.Elu():
            return _elu(x, op.alpha)
        case ops.Selu():
            return f32(op.SCALE) * _elu(x, op.ALPHA)
        case ops.Gelu(approximate=True):
            return f32(0.5) * x * (f32(1.0) + tanh(f32(math.sqrt(2 / math.pi)) * (x + f32(0.044715) * x * x * x)))
        case ops.Gelu():
            return f32(0.5) * x * (f32(1.0) + erf(x * f32(math.sqrt(0.5))))
        case ops.Softplus():
            return log1p_of_exp(x)
        case ops.Softsign():
            return x / (f32(1.0) + te.abs(x))
        case ops.Mish():
            return x * tanh(log1p_of_exp(x))
    raise AssertionError(f"no lowering for {op.kind}")


def _relu(op: ops.Relu, x: Expr) -> Expr:
    zero = f32(0.0)
    if op.negative_slope == 0 and op.threshold == 0:
        y = te.max(x, zero)
    elif op.threshold == 0 and 0 <= op.negative_slope <= 1:
        y = te.max(x, x * f32(op.negative_slope))
    else:
        y = tirx.Select(x > f32(op.threshold), x, f32(op.negative_slope) * (x - f32(op.threshold)))
    return y if op.max_value is None else te.min(y, f32(op.max_value))


def _elu(x: Expr, alpha: float) -> Expr:
    return let(expm1(te.min(x, f32(0.0))), lambda e: tirx.Select(x > f32(0.0), x, f32(alpha) * e))
