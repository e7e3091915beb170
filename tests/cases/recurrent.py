"""Recurrent layers: every cell and attribute, one step and many, units around whole vectors, batches 1 to 5."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from convc.ops import Gru, HardSigmoid, Lstm, Recurrent, Relu, Sigmoid, SimpleRnn, Softsign, Tanh
from tests.cases.case import Case, case

TANH, SIGMOID = (Tanh(),), (Sigmoid(),)
SIMPLE, LSTM, GRU = SimpleRnn(TANH, ()), Lstm(TANH, SIGMOID), Gru(TANH, SIGMOID)
BIASED, RESET_BEFORE = replace(GRU, biased=True), replace(GRU, reset_after=False)


def recurrent(name: str, op: Recurrent, batch: int, steps: int, units: int, scale: float = 0.5) -> Case:
    """`op` with the inputs that its attributes ask for; kernel and bias are constant."""
    width = op.gates * units
    shapes = [(batch, steps, width), (units, width), *([(width,)] if op.has_bias else [])]
    constants = range(1, len(shapes))
    shapes += [(batch, units)] * (op.state_count if op.has_state else 0)
    shapes += [(batch, steps)] if op.has_mask else []
    return case(name, op, *shapes, constants=constants, scale=scale)


_CELLS: dict[str, Recurrent] = {
    "simple": SIMPLE, "lstm": LSTM, "gru": GRU, "gru_biased": BIASED, "gru_reset_before": RESET_BEFORE,
}  # fmt: skip
_VARIANTS: dict[str, dict[str, Any]] = {
    "last": {"sequences": False},
    "states": {"states": True},
    "last_states": {"sequences": False, "states": True, "has_state": True},
    "backwards": {"backwards": True},
    "backwards_last": {"backwards": True, "sequences": False},
    "backwards_aligned": {"backwards": True, "aligned": True},
    "forwards_aligned": {"aligned": True},
    "start": {"has_state": True},
    "masked": {"has_mask": True},
    "masked_start_states": {"has_mask": True, "has_state": True, "states": True},
    "masked_zero": {"has_mask": True, "zero_masked": True, "states": True},
    "masked_zero_last": {"has_mask": True, "zero_masked": True, "sequences": False, "states": True},
    "masked_zero_last_backwards": {
        "has_mask": True, "zero_masked": True, "sequences": False, "backwards": True, "states": True,
    },
    "masked_backwards": {"has_mask": True, "backwards": True},
    "masked_backwards_aligned": {"has_mask": True, "backwards": True, "aligned": True, "zero_masked": True},
}  # fmt: skip

CASES: list[Case] = [
    *(recurrent(f"{name}_n{n}_t{t}_u{u}", op, n, t, u)
      for name, op in _CELLS.items()
      for n, t, u in ((1, 1, 1), (2, 2, 5), (1, 17, 16), (3, 5, 33))),
    *(recurrent(f"{name}_{variant}", replace(op, **attributes), 2, 4, 5)
      for name, op in _CELLS.items()
      for variant, attributes in _VARIANTS.items()
      if name in ("lstm", "gru_biased") or variant in ("masked_zero", "last_states", "backwards_aligned")),
    recurrent("lstm_long", LSTM, 2, 100, 17),
    recurrent("gru_long", BIASED, 1, 100, 33),
    recurrent("lstm_wide", LSTM, 1, 3, 200, 0.1),
    recurrent("gru_wide", RESET_BEFORE, 1, 2, 210, 0.1),
    recurrent("lstm_many_rows", LSTM, 5, 3, 20),
    recurrent("gru_many_rows", GRU, 13, 2, 7),
    recurrent("simple_many_rows", replace(SIMPLE, has_state=True, states=True), 49, 2, 18),
    recurrent("simple_partial_sums", SIMPLE, 2, 2, 1100, 0.03),
    recurrent("lstm_other_functions", Lstm((Softsign(),), (HardSigmoid(),)), 2, 5, 6),
    recurrent("gru_two_functions", Gru((Tanh(), Relu()), (HardSigmoid(0.2, 0.5),)), 2, 5, 6),
    recurrent("simple_linear", SimpleRnn((), ()), 2, 3, 6, 0.2),
]  # fmt: skip
