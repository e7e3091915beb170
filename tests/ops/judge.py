"""An independent answer for every op: Keras, in float32. It shares no code with the references."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
from keras import activations, layers
from keras import ops as k

from convc import ops
from convc.ir import Array, Op, Shape
from convc.ops.window import Padding, same_padding

Tensors = tuple[Array, ...]

_ACTIVATIONS: dict[type[Op], Callable[[Any, Any], Any]] = {
    ops.Relu: lambda op, x: layers.ReLU(op.max_value, op.negative_slope, op.threshold)(x),
    ops.Sigmoid: lambda op, x: activations.sigmoid(x),
    ops.HardSigmoid: lambda op, x: k.clip(x * op.slope + op.offset, 0, 1) if op.slope == 0.2 else k.hard_sigmoid(x),
    ops.Silu: lambda op, x: activations.silu(x),
    ops.HardSilu: lambda op, x: activations.hard_silu(x),
    ops.Tanh: lambda op, x: activations.tanh(x),
    ops.Exp: lambda op, x: activations.exponential(x),
    ops.Elu: lambda op, x: activations.elu(x, op.alpha),
    ops.Selu: lambda op, x: activations.selu(x),
    ops.Gelu: lambda op, x: activations.gelu(x, approximate=op.approximate),
    ops.Softplus: lambda op, x: activations.softplus(x),
    ops.Softsign: lambda op, x: activations.softsign(x),
    ops.Mish: lambda op, x: activations.mish(x),
}


def judge(op: Op, inputs: Tensors) -> Array:
    """What Keras answers for that op on these float32 inputs."""
    if isinstance(op, ops.Unary):
        return _array(_ACTIVATIONS[type(op)](op, inputs[0]))
    return _array(_OPS[type(op)](op, *inputs))


def _array(value: Any) -> Array:
    result: Array = keras.ops.convert_to_numpy(value)
    return result


def _pad(x: Array, padding: Padding, value: float = 0.0) -> Array:
    return np.pad(x, [(0, 0), *padding, (0, 0)], constant_values=value)


def _conv(op: ops.Conv, x: Array, kernel: Array, *bias: Array) -> Any:
    # Keras knows no explicit padding, and reads the number of groups from the kernel.
    same = same_padding(x.shape[1:-1], kernel.shape[:-2], op.strides, op.dilation)
    mode = "same" if op.padding == same else "valid"
    source = x if mode == "same" else _pad(x, op.padding)
    y = k.conv(source, kernel, op.strides, mode, "channels_last", op.dilation)
    return k.add(y, bias[0]) if bias else y


def _dense(op: ops.Dense, x: Array, kernel: Array, *bias: Array) -> Any:
    return k.add(k.matmul(x, kernel), bias[0]) if bias else k.matmul(x, kernel)


def _batch_norm(op: ops.BatchNorm, x: Array, gamma: Array, beta: Array, mean: Array, variance: Array) -> Any:
    return k.batch_normalization(x, mean, variance, axis=-1, offset=beta, scale=gamma, epsilon=op.epsilon)


def _is_same(op: ops.Pool, x: Array) -> bool:
    ones: Shape = (1,) * len(op.window)
    return op.padding == same_padding(x.shape[1:-1], op.window, op.strides, ones)


def _max_pool(op: ops.MaxPool, x: Array) -> Any:
    if _is_same(op, x):
        return k.max_pool(x, op.window, op.strides, "same", "channels_last")
    return k.max_pool(_pad(x, op.padding, -np.inf), op.window, op.strides, "valid", "channels_last")


def _avg_pool(op: ops.AvgPool, x: Array) -> Any:
    if _is_same(op, x) and not op.count_padding:
        return k.average_pool(x, op.window, op.strides, "same", "channels_last")
    means, weights = (
        k.average_pool(_pad(array, op.padding), op.window, op.strides, "valid", "channels_last")
        for array in (x, np.ones_like(x))
    )
    return means if op.count_padding else k.divide(means, weights)


def _softmax(op: ops.Softmax, x: Array) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*softmax over axis.*", category=UserWarning)
        return layers.Softmax(list(op.axes) if len(op.axes) > 1 else op.axes[0])(x)


_OPS: dict[type[Op], Callable[..., Any]] = {
    ops.Add: lambda op, a, b: k.add(a, b),
    ops.Multiply: lambda op, a, b: k.multiply(a, b),
    ops.BatchNorm: _batch_norm,
    ops.Concat: lambda op, *parts: k.concatenate(parts, op.axis),
    ops.Conv: _conv,
    ops.Dense: _dense,
    ops.Pad: lambda op, x: k.pad(x, op.widths, constant_values=op.value),
    ops.MaxPool: _max_pool,
    ops.AvgPool: _avg_pool,
    ops.ReduceMean: lambda op, x: k.mean(x, op.axes, op.keepdims),
    ops.ReduceMax: lambda op, x: k.max(x, op.axes, op.keepdims),
    ops.Reshape: lambda op, x: k.reshape(x, op.shape),
    ops.Transpose: lambda op, x: k.transpose(x, op.permutation),
    ops.Softmax: _softmax,
}
