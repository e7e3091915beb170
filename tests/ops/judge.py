"""An independent answer for every op: Keras, in float32. It shares no code with the references."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
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
    ops.Elu: lambda op, x: activations.elu(x, op.alpha),
    ops.Selu: lambda op, x: activations.selu(x),
    ops.Gelu: lambda op, x: activations.gelu(x, approximate=op.approximate),
    ops.Softplus: lambda op, x: activations.softplus(x),
    ops.Softsign: lambda op, x: activations.softsign(x),
    ops.Mish: lambda op, x: activations.mish(x),
    ops.Celu: lambda op, x: activations.celu(x, op.alpha),
    ops.LogSigmoid: lambda op, x: activations.log_sigmoid(x),
    ops.TanhShrink: lambda op, x: activations.tanh_shrink(x),
    ops.SoftShrink: lambda op, x: activations.soft_shrink(x, op.threshold),
    ops.HardShrink: lambda op, x: activations.hard_shrink(x, op.threshold),
    ops.Threshold: lambda op, x: activations.threshold(x, op.threshold, op.otherwise),
    ops.SparsePlus: lambda op, x: activations.sparse_plus(x),
    ops.Squareplus: lambda op, x: activations.squareplus(x, op.b),
}

_FUNCTIONS: dict[type[Op], Callable[[Any, Any], Any]] = {
    ops.Abs: lambda op, x: k.abs(x),
    ops.Acos: lambda op, x: k.arccos(x),
    ops.Acosh: lambda op, x: k.arccosh(x),
    ops.Asin: lambda op, x: k.arcsin(x),
    ops.Asinh: lambda op, x: k.arcsinh(x),
    ops.Atan: lambda op, x: k.arctan(x),
    ops.Atanh: lambda op, x: k.arctanh(x),
    ops.Cbrt: lambda op, x: k.cbrt(x),
    ops.Ceil: lambda op, x: k.ceil(x),
    ops.Clip: lambda op, x: k.clip(x, op.low, op.high),
    ops.Cos: lambda op, x: k.cos(x),
    ops.Cosh: lambda op, x: k.cosh(x),
    ops.Erf: lambda op, x: k.erf(x),
    ops.Erfc: lambda op, x: k.erfc(x),
    ops.Erfinv: lambda op, x: k.erfinv(x),
    ops.Exp: lambda op, x: k.exp(x),
    ops.Expm1: lambda op, x: k.expm1(x),
    ops.Floor: lambda op, x: k.floor(x),
    ops.IntegerPower: lambda op, x: k.power(x, op.exponent),
    ops.Log: lambda op, x: k.log(x),
    ops.Log1p: lambda op, x: k.log1p(x),
    ops.Reciprocal: lambda op, x: k.reciprocal(x),
    ops.Round: lambda op, x: k.round(x),
    ops.Rsqrt: lambda op, x: k.rsqrt(x),
    ops.Sign: lambda op, x: k.sign(x),
    ops.Sin: lambda op, x: k.sin(x),
    ops.Sinh: lambda op, x: k.sinh(x),
    ops.Sqrt: lambda op, x: k.sqrt(x),
    ops.Square: lambda op, x: k.square(x),
    ops.Tan: lambda op, x: k.tan(x),
    ops.Trunc: lambda op, x: k.trunc(x),
}


def judge(op: Op, inputs: Tensors) -> Array:
    """What Keras answers for that op on these float32 inputs."""
    if isinstance(op, ops.Cast):
        return _array(k.cast(k.convert_to_tensor(inputs[0]), op.dtype.value))
    if isinstance(op, ops.Unary):
        table = _ACTIVATIONS if type(op) in _ACTIVATIONS else _FUNCTIONS
        return _array(table[type(op)](op, inputs[0]))
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


def _conv_transpose(op: ops.ConvTranspose, x: Array, kernel: Array, *bias: Array) -> Any:
    # "valid" without output_padding is the full result.
    full = _array(k.conv_transpose(x, kernel, op.strides, "valid", 0, "channels_last", op.dilation))
    ends = [(low, extent - high) for (low, high), extent in zip(op.crop, full.shape[1:-1], strict=True)]
    longer = [max(end - extent, 0) for (_, end), extent in zip(ends, full.shape[1:-1], strict=True)]
    y = k.pad(full, [(0, 0), *((0, more) for more in longer), (0, 0)])
    index = (slice(None), *(slice(*end) for end in ends))
    y = y[index]
    return k.add(y, bias[0]) if bias else y


def _depth_to_space(op: ops.DepthToSpace, x: Array) -> Any:
    # A transposed convolution whose tap r of output channel c is 1 for input channel (r, c) alone.
    phases = int(np.prod(op.block))
    filters = x.shape[-1] // phases
    eye = np.eye(phases * filters, dtype=np.float32).reshape(phases, filters, phases * filters)
    y = k.conv_transpose(x, eye.reshape(*op.block, filters, phases * filters), op.block, "valid", 0, "channels_last")
    cut = [slice(low, extent - high) for (low, high), extent in zip(op.crop, y.shape[1:-1], strict=True)]
    index = (slice(None), *cut)
    return y[index]


def _dense(op: ops.Dense, x: Array, kernel: Array, *bias: Array) -> Any:
    return k.add(k.matmul(x, kernel), bias[0]) if bias else k.matmul(x, kernel)


def _matmul(op: ops.MatMul, a: Array, b: Array) -> Any:
    left, right, out = ("".join(chr(ord("a") + label) for label in labels) for labels in (op.left, op.right, op.out))
    return k.einsum(f"{left},{right}->{out}", a, b)


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


def _prelu(op: ops.PRelu, x: Array, alpha: Array) -> Any:
    layer = layers.PReLU()
    layer.build(x.shape)
    layer.alpha.assign(np.broadcast_to(alpha, x.shape[1:]))
    return layer(x)


def _softmax(op: ops.Softmax, x: Array) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*softmax over axis.*", category=UserWarning)
        return layers.Softmax(list(op.axes) if len(op.axes) > 1 else op.axes[0])(x)


def _slice(op: ops.Slice, x: Array) -> Any:
    for axis, (start, size, step) in enumerate(zip(op.starts, op.sizes, op.steps, strict=True)):
        x = k.take(x, np.arange(start, start + size * step, step), axis)
    return x


def _standardize(op: ops.Standardize, x: Array) -> Any:
    if op.groups == 1:
        normalise = k.layer_normalization if op.centered else k.rms_normalization
        return normalise(x, axis=list(op.axes), epsilon=op.epsilon)
    parts = [
        _standardize(ops.Standardize(op.axes, op.epsilon, op.centered), part) for part in np.split(x, op.groups, -1)
    ]
    return k.concatenate(parts, -1)


def _resample(op: ops.Resample, x: Array, *tables: Array) -> Any:
    y: Any = x
    for place, axis in enumerate(op.axes):
        indices, *weights = tables[place * op.tables : (place + 1) * op.tables]
        picked = k.take(y, indices, axis)  # both axes of the table stand in place of this one
        if weights:
            y = k.sum(picked * weights[0].reshape(weights[0].shape + (1,) * (x.ndim - 1 - axis)), axis + 1)
        else:
            y = k.max(picked, axis + 1)
    return y


def _recurrent(op: ops.Recurrent, x: Array, kernel: Array, *behind: Array) -> Any:
    """Keras's layer on the projected steps, with the identity as its own projection."""
    units = kernel.shape[0]
    given = {name: behind[place - 2] for name, place in op.split((x, kernel, *behind)).items()}
    form: dict[str, Any] = {"use_bias": op.has_bias, "activation": _chain(op.activation)}
    if not isinstance(op, ops.SimpleRnn):
        form["recurrent_activation"] = _chain(op.recurrent_activation)
    if isinstance(op, ops.Gru):
        form["reset_after"] = op.reset_after
    layer = _LAYERS[type(op)](
        units, return_sequences=op.sequences, return_state=True, go_backwards=op.backwards,
        zero_output_for_mask=op.zero_masked, kernel_initializer="zeros", recurrent_initializer="zeros", **form,
    )  # fmt: skip
    layer.build(x.shape)
    weights = [np.eye(op.gates * units), kernel]
    if op.has_bias:
        weights.append(np.stack([np.zeros_like(given["bias"]), given["bias"]]))
    layer.set_weights(weights)
    state = [given[name] for name in ("h", "c") if name in given] or None
    call = jax.jit(lambda x, state, mask: layer(x, initial_state=state, mask=mask))
    output, *finals = call(x, state, given.get("mask"))
    rows = np.asarray(output if op.sequences else output[:, None])
    if op.sequences and op.backwards and op.aligned:
        rows = rows[:, ::-1]
    return np.concatenate([rows, *(np.asarray(final)[:, None] for final in finals if op.states)], axis=1)


def _chain(chain: tuple[Op, ...]) -> Callable[[Any], Any]:
    def apply(x: Any) -> Any:
        for op in chain:
            x = _ACTIVATIONS[type(op)](op, x)
        return x

    return apply


_LAYERS: dict[type[Op], Any] = {ops.SimpleRnn: layers.SimpleRNN, ops.Lstm: layers.LSTM, ops.Gru: layers.GRU}

_OPS: dict[type[Op], Callable[..., Any]] = {
    ops.Add: lambda op, a, b: k.add(a, b),
    ops.Atan2: lambda op, a, b: k.arctan2(a, b),
    ops.BitAnd: lambda op, a, b: k.bitwise_and(a, b),
    ops.BitOr: lambda op, a, b: k.bitwise_or(a, b),
    ops.BitXor: lambda op, a, b: k.bitwise_xor(a, b),
    ops.Divide: lambda op, a, b: k.divide(a, b),
    ops.Equal: lambda op, a, b: k.cast(k.equal(a, b), "float32"),
    ops.FloorDivide: lambda op, a, b: k.floor_divide(a, b),
    ops.Fmod: lambda op, a, b: k.fmod(a, b),
    ops.Greater: lambda op, a, b: k.cast(k.greater(a, b), "float32"),
    ops.GreaterEqual: lambda op, a, b: k.cast(k.greater_equal(a, b), "float32"),
    ops.Maximum: lambda op, a, b: k.maximum(a, b),
    ops.Minimum: lambda op, a, b: k.minimum(a, b),
    ops.Mod: lambda op, a, b: k.mod(a, b),
    ops.Modulo: lambda op, a, b: k.mod(a, b),
    ops.Multiply: lambda op, a, b: k.multiply(a, b),
    ops.NotEqual: lambda op, a, b: k.cast(k.not_equal(a, b), "float32"),
    ops.PRelu: _prelu,
    ops.Power: lambda op, a, b: k.power(a, b),
    ops.Quotient: lambda op, a, b: jax.lax.div(*np.broadcast_arrays(a, b)),
    ops.Remainder: lambda op, a, b: jax.lax.rem(*np.broadcast_arrays(a, b)),
    ops.ShiftLeft: lambda op, a, b: jax.lax.shift_left(*np.broadcast_arrays(a, b)),
    ops.ShiftRight: lambda op, a, b: jax.lax.shift_right_arithmetic(*np.broadcast_arrays(a, b)),
    ops.Subtract: lambda op, a, b: k.subtract(a, b),
    ops.Where: lambda op, condition, a, b: k.where(condition, a, b),
    ops.BatchNorm: _batch_norm,
    ops.Concat: lambda op, *parts: k.concatenate(parts, op.axis),
    ops.Conv: _conv,
    ops.ConvTranspose: _conv_transpose,
    ops.Dense: _dense,
    **dict.fromkeys(_LAYERS, _recurrent),
    ops.DepthToSpace: _depth_to_space,
    ops.Slice: _slice,
    ops.Take: lambda op, x, indices: k.take(x, indices, op.axis),
    ops.TakeAlong: lambda op, x, indices: k.take_along_axis(x, indices, op.axis),
    ops.TopK: lambda op, x: k.top_k(x if op.largest else -x, op.count)[1],
    ops.Broadcast: lambda op, x: k.broadcast_to(x, op.shape),
    ops.MatMul: _matmul,
    ops.Pad: lambda op, x: k.pad(x, op.widths, constant_values=op.value),
    ops.MaxPool: _max_pool,
    ops.AvgPool: _avg_pool,
    ops.ReduceMean: lambda op, x: k.mean(x, op.axes, op.keepdims),
    ops.ReduceMax: lambda op, x: k.max(x, op.axes, op.keepdims),
    ops.ReduceMin: lambda op, x: k.min(x, op.axes, op.keepdims),
    ops.ReduceProd: lambda op, x: k.prod(x, op.axes, op.keepdims),
    ops.ReduceSum: lambda op, x: k.sum(x, op.axes, op.keepdims),
    ops.Standardize: _standardize,
    ops.ResampleSum: _resample,
    ops.ResampleMax: _resample,
    ops.Reshape: lambda op, x: k.reshape(x, op.shape),
    ops.Transpose: lambda op, x: k.transpose(x, op.permutation),
    ops.LogSoftmax: lambda op, x: k.log_softmax(k.convert_to_tensor(x), op.axes if len(op.axes) > 1 else op.axes[0]),
    ops.Softmax: _softmax,
}
