"""Normalisation by given statistics, by those of the input, and Dropout."""

from __future__ import annotations

import numpy as np

from convc import ops
from convc.errors import ModelError, ShapeError, UnsupportedError
from convc.frontends.onnx.registry import Call, Value, handler
from convc.frontends.onnx.shape import axis_in
from convc.frontends.onnx.window import Ints, channels_last
from convc.ir import Array, Node


@handler("BatchNormalization")
def batch_normalization(
    call: Call,
    x: Node,
    scale: Node,
    b: Node,
    mean: Node,
    var: Node,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    spatial: int = 1,
    training_mode: bool = False,
) -> Node | tuple[Node, ...]:
    """By given statistics, or in training mode by the input's own, which then move the given ones by `momentum`."""
    if spatial != 1:
        raise UnsupportedError("", "statistics of each element are not supported", received="spatial=0")
    if training_mode:
        return _trained(call, x, scale, b, mean, var, epsilon, momentum)
    if not all(isinstance(value.op, ops.Constant) for value in (scale, b, mean, var)):
        return _normalised(call, x, scale, b, mean, var, epsilon)
    op = ops.BatchNorm(epsilon)
    if x.type.rank == 2:
        return call.make(op, x, scale, b, mean, var)
    return channels_last(call, x, lambda y: call.make(op, y, scale, b, mean, var))


def _normalised(call: Call, x: Node, scale: Node, b: Node, mean: Node, var: Node, epsilon: float) -> Node:
    """By statistics that the model computes, of C each."""
    shape = (x.type.shape[1],) + (1,) * (x.type.rank - 2)
    inverse = call.make(ops.Rsqrt(), call.make(ops.Add(), var, call.constant(epsilon)))
    factor, offset, centre = (
        call.make(ops.Reshape(shape), value) for value in (call.make(ops.Multiply(), scale, inverse), b, mean)
    )
    product = call.make(ops.Multiply(), call.make(ops.Subtract(), x, centre), factor)
    return call.make(ops.Add(), product, offset)


def _trained(
    call: Call, x: Node, scale: Node, b: Node, mean: Node, var: Node, epsilon: float, momentum: float
) -> tuple[Node, ...]:
    axes = tuple(axis for axis in range(x.type.rank) if axis != 1)
    own = call.make(ops.ReduceMean(axes), x)
    centre = call.make(ops.Reshape((x.type.shape[1],) + (1,) * (x.type.rank - 2)), own)
    variance = call.make(ops.ReduceMean(axes), call.make(ops.Square(), call.make(ops.Subtract(), x, centre)))

    def moved(before: Node, now: Node) -> Node:
        kept = call.make(ops.Multiply(), before, call.constant(momentum))
        return call.make(ops.Add(), kept, call.make(ops.Multiply(), now, call.constant(1 - momentum)))

    y = _normalised(call, x, scale, b, own, variance, epsilon)
    return y, moved(mean, own), moved(var, variance)


@handler("Dropout")
def dropout(
    call: Call,
    x: Node,
    given: Value | None = None,
    training_mode: Array | None = None,
    *,
    ratio: float = 0.5,
    seed: int = 0,
) -> tuple[Node, Array]:
    """Nothing at inference; the mask keeps everything."""
    training = training_mode is not None and bool(training_mode.reshape(-1)[0])
    if training and not (isinstance(given, Node) and given in call.bound and not call.bound[given].any()):
        raise UnsupportedError("", "it is called in training mode", remedy="export the model for inference")
    return x, np.broadcast_to(True, x.type.shape)


@handler("LRN")
def lrn(call: Call, x: Node, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> Node:
    """x / (bias + alpha / size * sum of the squares of `size` neighbouring channels) ** beta.

    The sums are a product with a band matrix, which adds nothing but zeros to them.
    """
    if size < 1:
        raise ModelError("", "'size' is wrong", expected="1 or more", received=str(size))
    channels = x.type.shape[1]
    distance = np.arange(channels)[None, :] - np.arange(channels)[:, None]
    band = (distance <= (size - 1) // 2) & (-distance <= size // 2)
    kernel, offset = call.constant(np.where(band, alpha / size, 0.0)), call.constant(np.full(channels, bias))

    def compute(y: Node) -> Node:
        sums = call.make(ops.Dense(), call.make(ops.Multiply(), y, y), kernel, offset)
        return call.make(ops.Multiply(), y, call.make(ops.Power(), sums, call.constant(-beta)))

    return channels_last(call, x, compute)


@handler("InstanceNormalization")
def instance_normalization(call: Call, x: Node, scale: Node, b: Node, *, epsilon: float = 1e-5) -> Node:
    """Every plane by its own mean and variance."""

    def compute(y: Node) -> Node:
        z = call.make(ops.Standardize(tuple(range(1, y.type.rank - 1)), epsilon), y)
        return call.make(ops.Add(), call.make(ops.Multiply(), z, scale), b)

    return channels_last(call, x, compute)


@handler("GroupNormalization")
def group_normalization(
    call: Call, x: Node, scale: Node, bias: Node, *, num_groups: int, epsilon: float = 1e-5, stash_type: int = 1
) -> Node:
    """Groups of channels by their own mean and variance; scale and bias are per group before opset 21."""
    channels = x.type.shape[1]
    if num_groups < 1 or channels % num_groups:
        raise ShapeError("", "the groups do not divide the channels", expected=f"a divisor of {channels}")

    def spread(value: Node) -> Node:
        if value.type.shape == (channels,):
            return value
        wide = call.make(ops.Broadcast((num_groups, channels // num_groups)), _column(call, value))
        return call.make(ops.Reshape((channels,)), wide)

    def compute(y: Node) -> Node:
        z = call.make(ops.Standardize(tuple(range(1, y.type.rank)), epsilon, groups=num_groups), y)
        return call.make(ops.Add(), call.make(ops.Multiply(), z, spread(scale)), spread(bias))

    return channels_last(call, x, compute)


def _column(call: Call, value: Node) -> Node:
    return call.make(ops.Reshape((*value.type.shape, 1)), value)


@handler("LayerNormalization")
def layer_normalization(
    call: Call,
    x: Node,
    scale: Node,
    bias: Node | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> Node | tuple[Node, ...]:
    """All axes from `axis` on by their own mean and variance; the mean and 1 / sqrt(variance + epsilon) too."""
    y = _scaled(call, x, scale, bias, axis, epsilon, centered=True)
    if call.outputs == 1:
        return y
    axes = tuple(range(axis_in(axis, x.type.rank), x.type.rank))
    mean = call.make(ops.ReduceMean(axes, True), x)
    square = call.make(ops.Square(), call.make(ops.Subtract(), x, mean))
    variance = call.make(ops.ReduceMean(axes, True), square)
    return y, mean, call.make(ops.Rsqrt(), call.make(ops.Add(), variance, call.constant(epsilon)))


@handler("RMSNormalization")
def rms_normalization(
    call: Call, x: Node, scale: Node, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Node:
    """All axes from `axis` on by their root mean square."""
    return _scaled(call, x, scale, None, axis, epsilon, centered=False)


def _scaled(call: Call, x: Node, scale: Node, bias: Node | None, axis: int, epsilon: float, *, centered: bool) -> Node:
    axes = tuple(range(axis_in(axis, x.type.rank), x.type.rank))
    y = call.make(ops.Multiply(), call.make(ops.Standardize(axes, epsilon, centered), x), scale)
    return y if bias is None else call.make(ops.Add(), y, bias)


@handler("MeanVarianceNormalization")
def mean_variance_normalization(call: Call, x: Node, *, axes: Ints = (0, 2, 3)) -> Node:
    """The axes by their own mean and standard deviation, to which 1e-9 is added."""
    place = tuple(sorted({axis_in(axis, x.type.rank) for axis in axes}))
    return call.make(ops.Standardize(place, 1e-18), x)


@handler("LpNormalization")
def lp_normalization(call: Call, x: Node, *, axis: int = -1, p: int = 2) -> Node:
    """x over the norm of an axis; 0 where the norm is."""
    place = (axis_in(axis, x.type.rank),)
    if p not in (1, 2):
        raise ModelError("", "'p' is wrong", expected="1 or 2", received=str(p))
    sums = call.make(ops.ReduceSum(place, True), call.make(ops.Abs() if p == 1 else ops.Square(), x))
    norm = sums if p == 1 else call.make(ops.Sqrt(), sums)
    zero = call.constant(np.float32(0))
    safe = call.make(ops.Where(), call.make(ops.Equal(), norm, zero), call.constant(np.float32(1)), norm)
    return call.make(ops.Divide(), x, safe)
