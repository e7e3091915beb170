"""SimpleRNN, LSTM, GRU, and RNN over their cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np

from convc import ops
from convc.errors import ModelError, UnsupportedError
from convc.frontends.keras.activation import parse_activation
from convc.frontends.keras.config import Fields, class_of, show
from convc.frontends.keras.conv import bias_initializer
from convc.frontends.keras.identity import Identity
from convc.frontends.keras.initializers import Initializer, parse_initializer
from convc.frontends.keras.registry import Layer, Masked, Masks, Weight, nearest, register
from convc.frontends.keras.scan import Gates, Scan, Step
from convc.frontends.keras.structure import is_custom, snake_case
from convc.frontends.keras.window import check_rank
from convc.ir import Array, Node, Origin, Shape, TensorType, make
from convc.ops.recurrent import Chain

MAX_CELLS = 64
"""Cells in a stack; more are taken for an attack."""


@dataclass(frozen=True)
class UnitForgetBias(Initializer):
    """LSTM's: as `rest`, but 1 for the forget gate, the second of four."""

    rest: Initializer

    def draw(self, rng: np.random.Generator, shape: Shape) -> Array:
        values = self.rest.draw(rng, shape)
        units = shape[0] // 4
        values[units : 2 * units] = 1
        return values


@dataclass(frozen=True)
class Cell:
    """A cell's op, with what the layer decides left at its defaults, and its variables.

    `functions` are the activation and the recurrent activation where they are not both elementwise: then each step is
    made of nodes of its own, and the op's are left out.
    """

    op: ops.Recurrent
    units: int
    kernel: Initializer
    recurrent: Initializer
    bias: Initializer | None
    functions: tuple[Layer, Layer] | None = None

    def weights(self, features: int, path: str) -> tuple[Weight, ...]:
        """Names begin with the path, which ends at the cell."""
        width = self.op.gates * self.units
        weights = [
            Weight(f"{path}/kernel", (features, width), self.kernel, path=path),
            Weight(f"{path}/recurrent_kernel", (self.units, width), self.recurrent, path=path),
        ]
        if self.bias is not None:
            shape = (2, width) if isinstance(self.op, ops.Gru) and self.op.reset_after else (width,)
            weights.append(Weight(f"{path}/bias", shape, self.bias, path=path))
        return tuple(weights)

    def build(
        self,
        x: Node,
        states: Sequence[Node],
        mask: Node | None,
        op: ops.Recurrent,
        weights: Sequence[Node],
        origin: Origin,
    ) -> list[Node]:
        """What `op`, a variant of the cell's, gives for the sequences x of N, T, features: output and final states."""
        kernel, recurrent, *biases = weights
        if biases and op.has_bias:
            halves = [ops.Slice.along(biases[0].type.shape, 0, row, 1) for row in range(2)]
            vector = ops.Reshape((op.gates * self.units,))
            biases = [make(vector, make(half, biases[0], origin=origin), origin=origin) for half in halves]
        projected = make(ops.Dense(), x, kernel, *biases[:1], origin=origin)
        if self.functions is not None:
            gates = Gates(self.units, *self.functions, origin)
            scan = Scan(op.sequences, op.states, op.backwards, op.aligned, op.zero_masked)
            return scan.build(projected, states, mask, _step_by_nodes(op, gates, recurrent, biases[1:]), origin)
        behind = [*biases[1:], *states, *([] if mask is None else [mask])]
        op = replace(op, has_state=bool(states), has_mask=mask is not None)
        rows = make(op, projected, recurrent, *behind, origin=origin)
        steps = x.type.shape[1] if op.sequences else 1
        finals = [_row(rows, steps + state, origin) for state in range(op.state_count)] if op.states else []
        if not op.sequences:
            return [_row(rows, 0, origin), *finals]
        if finals:
            rows = make(ops.Slice.along(rows.type.shape, 1, 0, steps), rows, origin=origin)
        return [rows, *finals]


@dataclass(frozen=True)
class Recurrent(Masked):
    """x of N, T, features to N, units or N, T, units; then, where `states`, the final states of N, units each.

    The cells are stacked: each reads what the one before gives. Behind x may come the states at the start, in order.
    `backwards` takes the last step first and gives the rows in the order in which it takes the steps, unless `aligned`.
    """

    cells: tuple[Cell, ...]
    paths: tuple[str, ...]
    sequences: bool
    states: bool
    backwards: bool
    zero_masked: bool
    unrolled: bool
    aligned: bool = False

    arity: ClassVar = (1, None)
    keywords: ClassVar = ("initial_state",)

    def weights(self, *inputs: TensorType) -> tuple[Weight, ...]:
        check_rank(inputs[0], 3)
        features = (inputs[0].shape[-1], *(cell.units for cell in self.cells))
        made = (cell.weights(count, path) for cell, count, path in zip(self.cells, features, self.paths, strict=False))
        return tuple(weight for weights in made for weight in weights)

    def masked(
        self, inputs: Sequence[Node], masks: Masks, weights: Mapping[str, Node], origin: Origin
    ) -> Sequence[tuple[Node, Node | None]]:
        x, *given = inputs
        check_states(given, [(x.type.shape[0], cell.units) for cell in self.cells for _ in range(cell.op.state_count)])
        mask = masks.argument
        if mask is not None and mask.type.shape != x.type.shape[:2]:
            expected, received = str(x.type.shape[:2]), str(mask.type.shape)
            raise ModelError("", "the mask does not fit the steps", expected=expected, received=received)
        check_unrolled(given, mask, unrolled=self.unrolled)
        finals: list[Node] = []
        for place, (cell, path) in enumerate(zip(self.cells, self.paths, strict=True)):
            last = place == len(self.cells) - 1
            op = replace(
                cell.op,
                sequences=self.sequences or not last,
                states=self.states,
                backwards=self.backwards,
                aligned=self.aligned or not last,
                zero_masked=last and mask is not None and self.zero_masked and not self.unrolled,
            )
            own = [node for name, node in weights.items() if name.startswith(f"{path}/")]
            start, given = given[: op.state_count], given[op.state_count :]
            x, *own_finals = cell.build(x, start, mask, op, own, origin)
            finals += own_finals
        return [(x, masks.first if self.sequences else None), *((state, None) for state in finals)]


def check_states(states: Sequence[Node], wanted: Sequence[Shape]) -> None:
    """Raises `ModelError` where there are states at the start, and they do not fit."""
    shapes = [state.type.shape for state in states]
    if states and shapes != list(wanted):
        expected, received = ", ".join(map(str, wanted)), ", ".join(map(str, shapes))
        raise ModelError("", "the states at the start do not fit", expected=expected, received=received)


def check_unrolled(states: Sequence[Node], mask: Node | None, *, unrolled: bool) -> None:
    """Raises `UnsupportedError` where Keras, unrolled, gives zeros for the steps before the first that counts."""
    if unrolled and states and mask is not None:
        raise UnsupportedError(
            "", "unroll=True with a mask and states at the start is not supported", remedy="set unroll=False"
        )


def _row(rows: Node, place: int, origin: Origin) -> Node:
    """One row of N, rows, units as N, units."""
    batch, count, units = rows.type.shape
    if count > 1:
        rows = make(ops.Slice.along(rows.type.shape, 1, place, 1), rows, origin=origin)
    return make(ops.Reshape((batch, units)), rows, origin=origin)


def _step_by_nodes(op: ops.Recurrent, gates: Gates, kernel: Node, bias: Sequence[Node]) -> Step:
    """A step of the cell whose functions are `gates`'s; `kernel` and `bias` are the recurrent ones."""

    def product(h: Node) -> Node:
        return make(ops.Dense(), h, kernel, *bias, origin=gates.origin)

    def candidate(h: Node) -> Node:
        part = ops.Slice.along(kernel.type.shape, 1, 2 * gates.units, gates.units)
        return make(ops.Dense(), h, make(part, kernel, origin=gates.origin), origin=gates.origin)

    match op:
        case ops.Lstm():
            return lambda x, before: gates.lstm(x, before, product)
        case ops.Gru():
            return lambda x, before: gates.gru(x, before, product, None if op.reset_after else candidate)
    return lambda x, before: gates.simple(x, before, product)


def chain_of(layer: Layer) -> Chain | None:
    """The functions that a layer without weights applies in turn; None where it is not elementwise."""
    origin = Origin("activation", "Activation")
    source = make(ops.Input(TensorType((1, 1))), origin=origin)
    node, chain = layer.build([source], {}, origin), []
    while node is not source:
        if not isinstance(node.op, ops.Unary) or len(node.inputs) != 1:
            return None
        chain.append(node.op)
        (node,) = node.inputs
    return tuple(reversed(chain))


def activation(fields: Fields, key: str, default: str) -> Layer:
    """The activation under `key`. Raises `ConvcError` with an empty subject."""
    return parse_activation(Fields({key: fields.raw(key, default)}, fields.legacy), key)


def _cell_of(fields: Fields, op: type[ops.Recurrent], bias: Initializer | None, **attributes: bool) -> Cell:
    active = activation(fields, "activation", "tanh")
    simple = issubclass(op, ops.SimpleRnn)
    recurrent = Identity() if simple else activation(fields, "recurrent_activation", "sigmoid")
    chains = chain_of(active), chain_of(recurrent)
    elementwise = None not in chains
    return Cell(
        op(chains[0] or (), chains[1] or (), **attributes),
        fields.integer("units"),
        parse_initializer(fields, "kernel_initializer", "glorot_uniform"),
        parse_initializer(fields, "recurrent_initializer", "orthogonal"),
        bias,
        None if elementwise else (active, recurrent),
    )


def _simple_cell(fields: Fields) -> Cell:
    return _cell_of(fields, ops.SimpleRnn, bias_initializer(fields))


def _lstm_cell(fields: Fields) -> Cell:
    bias = bias_initializer(fields)
    forget = bias is not None and fields.flag("unit_forget_bias", True)
    return _cell_of(fields, ops.Lstm, UnitForgetBias(bias) if bias is not None and forget else bias)


def _gru_cell(fields: Fields) -> Cell:
    # Keras 1 and 2.0 had no such argument, and the reset gate before.
    reset_after = fields.flag("reset_after", not fields.legacy)
    bias = bias_initializer(fields)
    return _cell_of(fields, ops.Gru, bias, reset_after=reset_after, biased=reset_after and bias is not None)


_CELLS = {"SimpleRNNCell": _simple_cell, "LSTMCell": _lstm_cell, "GRUCell": _gru_cell}


def check_stateless(fields: Fields) -> None:
    """Raises `UnsupportedError` for settings that no compiled layer can have."""
    if fields.flag("stateful", False):
        remedy = "give the state as a model input by initial_state, and take it as an output by return_state"
        raise UnsupportedError("", "stateful=True: a run keeps nothing for the next", remedy=remedy)
    if fields.raw("num_constants"):
        raise UnsupportedError("", "num_constants is not supported", received=show(fields.raw("num_constants")))


def _recurrent(fields: Fields, cells: Sequence[Cell], paths: Sequence[str]) -> Layer:
    check_stateless(fields)
    return Recurrent(
        tuple(cells),
        tuple(paths),
        fields.flag("return_sequences", False),
        fields.flag("return_state", False),
        fields.flag("go_backwards", False),
        fields.flag("zero_output_for_mask", False),
        fields.flag("unroll", False),
    )


def _rnn(fields: Fields) -> Layer:
    """RNN over one cell, or a stack of them, which Keras writes as a layer of cells."""
    config = fields.raw("cell")
    if class_of(config) != "StackedRNNCells":
        return _recurrent(fields, [_cell(config, fields.legacy)], ["cell"])
    inner = _config(config)
    stack = inner.get("cells")
    if not isinstance(stack, list) or not 0 < len(stack) <= MAX_CELLS:
        raise ModelError("", "'cells' is wrong", expected=f"a list of 1 to {MAX_CELLS} cells", received=show(stack))
    cells = [_cell(item, fields.legacy) for item in stack]
    if inner.get("reverse_state_order"):
        raise UnsupportedError("", "reverse_state_order=True is not supported")
    return _recurrent(fields, cells, [f"cell/cells/{name}" for name in _numbered(stack)])


def _numbered(stack: Sequence[object]) -> Iterator[str]:
    """Where Keras stores the cells' variables: lstm_cell, lstm_cell_1, …"""
    counts: dict[str, int] = {}
    for item in stack:
        stem = snake_case(class_of(item) or "")
        counts[stem] = counts.get(stem, -1) + 1
        yield f"{stem}_{counts[stem]}" if counts[stem] else stem


def _cell(config: object, legacy: bool) -> Cell:
    kind = class_of(config)
    if not isinstance(config, Mapping) or kind is None:
        raise ModelError("", "'cell' is wrong", expected="the config of a cell", received=show(config))
    if is_custom(config) or kind not in _CELLS:
        remedy = nearest(kind, tuple(_CELLS))
        raise UnsupportedError("", "this cell is not supported", received=kind[:100], remedy=remedy)
    return _CELLS[kind](Fields(_config(config), legacy))


def _config(entry: object) -> Mapping[str, object]:
    config = entry.get("config") if isinstance(entry, Mapping) else None
    if not isinstance(config, Mapping):
        raise ModelError("", "the cell has no config", received=show(config))
    return config


def _layer(fields: Fields, cell: str) -> Layer:
    return _recurrent(fields, [_CELLS[cell](fields)], ["cell"])


_NOTE = "any elementwise activation; initial states, masks; not stateful"
for _name in ("SimpleRNN", "LSTM", "GRU"):
    register(_name, partial(_layer, cell=f"{_name}Cell"), _NOTE)
register("RNN", _rnn, "over SimpleRNNCell, LSTMCell, GRUCell and stacks of them; not stateful")
