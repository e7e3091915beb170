"""RNN, GRU and LSTM: one recurrent op for each direction, over the projected steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convc import ops
from convc.errors import ModelError, ShapeError, UnsupportedError
from convc.frontends.onnx.arithmetic import floats
from convc.frontends.onnx.registry import Call, Value, as_node, handler
from convc.ir import Array, Node
from convc.ops.recurrent import Chain

Floats = tuple[float, ...]
Names = tuple[str, ...]

_GATES = {"RNN": (0,), "GRU": (0, 1, 2), "LSTM": (0, 2, 3, 1)}
"""For each gate of the op, its place in ONNX's order."""
_DEFAULTS = {"RNN": ("Tanh",), "GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh")}
_NO_CONSTANTS: dict[str, Chain] = {
    "Relu": (ops.Relu(),), "Sigmoid": (ops.Sigmoid(),), "Softplus": (ops.Softplus(),), "Softsign": (ops.Softsign(),),
    "Tanh": (ops.Tanh(),),
}  # fmt: skip


@dataclass(frozen=True)
class _Form:
    """The attributes of an operator, by their names in ONNX."""

    kind: str
    activations: Names | None
    activation_alpha: Floats | None
    activation_beta: Floats | None
    direction: str
    layout: int
    linear_before_reset: bool = False

    @property
    def directions(self) -> Sequence[bool]:
        """Whether each direction runs backwards."""
        table = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
        if self.direction not in table:
            expected = ", ".join(table)
            raise ModelError("", "'direction' is wrong", expected=expected, received=self.direction[:100])
        return table[self.direction]

    def functions(self) -> list[list[Chain]]:
        """The activations of each direction. Constants are given to those that have any, one after the other."""
        count = len(_DEFAULTS[self.kind])
        names = self.activations or _DEFAULTS[self.kind] * len(self.directions)
        if len(names) != count * len(self.directions):
            expected = f"{count} for each direction"
            raise ModelError("", "'activations' is wrong", expected=expected, received=str(names)[:100])
        alphas, betas = iter(self.activation_alpha or ()), iter(self.activation_beta or ())
        chains = [_chain(name, alphas, betas) for name in names]
        return [chains[i : i + count] for i in range(0, len(chains), count)]


def _chain(name: str, alphas: object, betas: object) -> Chain:
    def alpha(default: float) -> float:
        return float(next(alphas, default))  # type: ignore[call-overload]

    def beta(default: float) -> float:
        return float(next(betas, default))  # type: ignore[call-overload]

    plain = name.capitalize() if name.islower() else name
    if plain in _NO_CONSTANTS:
        return _NO_CONSTANTS[plain]
    if plain == "LeakyRelu":
        return (ops.Relu(negative_slope=alpha(0.01)),)
    if plain == "ThresholdedRelu":
        return (ops.Relu(threshold=alpha(1.0)),)
    if plain == "HardSigmoid":
        return (ops.HardSigmoid(alpha(0.2), beta(0.5)),)
    if plain == "Elu":
        return (ops.Elu(alpha(1.0)),)
    expected = ", ".join([*_NO_CONSTANTS, "LeakyRelu, ThresholdedRelu, HardSigmoid, Elu"])
    raise UnsupportedError("", "this activation is not supported", expected=expected, received=name[:100])


def _recurrent(
    call: Call,
    form: _Form,
    x: Node,
    w: Array,
    r: Array,
    b: Array | None,
    lengths: Value | None,
    starts: Sequence[Node | None],
) -> tuple[Node, ...]:
    """Y, Y_h and, for LSTM, Y_c: the states after every step and after the last one."""
    gates, backwards = _GATES[form.kind], form.directions
    units = r.shape[-1] if r.ndim == 3 else 0
    count = len(backwards)
    if x.type.rank != 3 or w.shape != (count, len(gates) * units, x.type.shape[2]):
        expected = f"{count}, {len(gates)} * hidden, {x.type.shape[-1] if x.type.rank == 3 else 'features'}"
        raise ShapeError("", "the weights do not fit", expected=expected, received=f"{w.shape} for {x.type.shape}")
    if r.shape != (count, len(gates) * units, units) or (b is not None and b.shape != (count, 2 * len(gates) * units)):
        received = f"{r.shape} and {None if b is None else b.shape}"
        raise ShapeError("", "the recurrent weights or the bias do not fit", received=received)
    rows = x if form.layout else call.make(ops.Transpose((1, 0, 2)), x)
    batch, steps = rows.type.shape[:2]
    mask = _mask(call, lengths, batch, steps)
    results = [
        _direction(call, form, rows, w[i], r[i], None if b is None else b[i], mask, chains, reverse,
                   [_start(call, form, start, i) for start in starts if start is not None])
        for i, (chains, reverse) in enumerate(zip(form.functions(), backwards, strict=True))
    ]  # fmt: skip
    return tuple(_stacked(call, form, [part[place] for part in results], place) for place in range(len(results[0])))


def _mask(call: Call, lengths: Value | None, batch: int, steps: int) -> Node | None:
    """1.0 for the steps of each sequence; None where all are full."""
    if lengths is None or (not isinstance(lengths, Node) and (lengths >= steps).all()):
        return None
    column = floats(call, call.make(ops.Reshape((batch, 1)), as_node(lengths, call.origin)))
    return call.make(ops.Greater(), column, call.constant(np.arange(steps, dtype=np.float32)))


def _start(call: Call, form: _Form, start: Node, index: int) -> Node:
    """A direction's part of the states at the start, of N, U."""
    axis = 1 if form.layout else 0
    part = call.make(ops.Slice.along(start.type.shape, axis, index, 1), start)
    return call.make(ops.Reshape(tuple(e for i, e in enumerate(part.type.shape) if i != axis)), part)


def _direction(
    call: Call,
    form: _Form,
    x: Node,
    w: Array,
    r: Array,
    b: Array | None,
    mask: Node | None,
    chains: Sequence[Chain],
    reverse: bool,
    starts: Sequence[Node],
) -> list[Node]:
    """The states after every step, of N, T, U, and the states at the end, of N, U."""
    order = _GATES[form.kind]
    units = r.shape[-1]

    def ordered(value: Array) -> Array:
        parts = value.reshape(len(order), units, *value.shape[1:])
        return np.concatenate([parts[place] for place in order])

    kernel, recurrent = ordered(w).T, ordered(r).T
    inner = None
    bias = None if b is None else ordered(b[: len(b) // 2])
    if b is not None and bias is not None:
        second = ordered(b[len(b) // 2 :])
        if form.linear_before_reset:
            inner = np.where(np.arange(len(second)) < 2 * units, 0, second)
            second = second - inner
        bias = bias + second
    projected = call.make(
        ops.Dense(), x, call.constant(np.ascontiguousarray(kernel)), *([] if bias is None else [call.constant(bias)])
    )
    options = {"states": True, "backwards": reverse, "aligned": True, "has_state": bool(starts),
               "has_mask": mask is not None, "zero_masked": mask is not None}  # fmt: skip
    op: ops.Recurrent
    if form.kind == "RNN":
        op = ops.SimpleRnn(chains[0], (), **options)
    elif form.kind == "GRU":
        reset_after = form.linear_before_reset
        op = ops.Gru(chains[1], chains[0], **options, reset_after=reset_after, biased=inner is not None)
    else:
        if chains[1] != chains[2]:
            raise UnsupportedError("", "different second and third activations are not supported")
        op = ops.Lstm(chains[1], chains[0], **options)
    behind = [*([] if inner is None else [call.constant(inner)]), *starts, *([] if mask is None else [mask])]
    y = call.make(op, projected, call.constant(np.ascontiguousarray(recurrent)), *behind)
    steps = x.type.shape[1]
    whole = call.make(ops.Slice.along(y.type.shape, 1, 0, steps), y)
    ends = [call.make(ops.Slice.along(y.type.shape, 1, steps + i, 1), y) for i in range(op.state_count)]
    return [whole, *(call.make(ops.Reshape((x.type.shape[0], units)), end) for end in ends)]


def _stacked(call: Call, form: _Form, parts: Sequence[Node], place: int) -> Node:
    """An output of all directions in the order of ONNX: T, D, N, U and D, N, U, or N, T, D, U and N, D, U."""
    axis = 1 if form.layout else 0
    if place == 0:
        axis = 2 if form.layout else 1
        parts = parts if form.layout else [call.make(ops.Transpose((1, 0, 2)), part) for part in parts]
    wide = [call.make(ops.Reshape((*part.type.shape[:axis], 1, *part.type.shape[axis:])), part) for part in parts]
    return wide[0] if len(wide) == 1 else call.make(ops.Concat(axis), *wide)


def _refuse(clip: float | None, input_forget: bool = False, peepholes: Value | None = None) -> None:
    if clip is not None:
        raise UnsupportedError("", "'clip' is not supported", received=str(clip))
    if input_forget:
        raise UnsupportedError("", "'input_forget' is not supported", received="1")
    if peepholes is not None:
        raise UnsupportedError("", "peepholes are not supported")


@handler("RNN")
def rnn(
    call: Call,
    x: Node,
    w: Array,
    r: Array,
    b: Array | None = None,
    sequence_lens: Value | None = None,
    initial_h: Node | None = None,
    *,
    activation_alpha: Floats | None = None,
    activation_beta: Floats | None = None,
    activations: Names | None = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
) -> tuple[Node, ...]:
    """h = f(x W + h R + b)."""
    _refuse(clip)
    form = _Form("RNN", activations, activation_alpha, activation_beta, direction, layout)
    return _recurrent(call, form, x, w, r, b, sequence_lens, [initial_h])


@handler("GRU")
def gru(
    call: Call,
    x: Node,
    w: Array,
    r: Array,
    b: Array | None = None,
    sequence_lens: Value | None = None,
    initial_h: Node | None = None,
    *,
    activation_alpha: Floats | None = None,
    activation_beta: Floats | None = None,
    activations: Names | None = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
    linear_before_reset: bool = False,
) -> tuple[Node, ...]:
    """Gates in the order update, reset, hidden."""
    _refuse(clip)
    form = _Form("GRU", activations, activation_alpha, activation_beta, direction, layout, linear_before_reset)
    return _recurrent(call, form, x, w, r, b, sequence_lens, [initial_h])


@handler("LSTM")
def lstm(
    call: Call,
    x: Node,
    w: Array,
    r: Array,
    b: Array | None = None,
    sequence_lens: Value | None = None,
    initial_h: Node | None = None,
    initial_c: Node | None = None,
    p: Value | None = None,
    *,
    activation_alpha: Floats | None = None,
    activation_beta: Floats | None = None,
    activations: Names | None = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    input_forget: bool = False,
    layout: int = 0,
) -> tuple[Node, ...]:
    """Gates in the order input, output, forget, cell."""
    _refuse(clip, input_forget, p)
    form = _Form("LSTM", activations, activation_alpha, activation_beta, direction, layout)
    starts = [initial_h, initial_c]
    if (initial_h is None) != (initial_c is None):
        given = initial_h if initial_h is not None else initial_c
        assert given is not None
        zero = call.constant(np.zeros(given.type.shape, np.float32))
        starts = [zero if start is None else start for start in starts]
    return _recurrent(call, form, x, w, r, b, sequence_lens, starts)
