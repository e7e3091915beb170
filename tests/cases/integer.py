"""Arithmetic and logic on integers, with what a machine traps at or leaves undefined."""

from __future__ import annotations

from convc.ops import BitAnd, BitOr, BitXor, Integer, Modulo, Quotient, Remainder, ShiftLeft, ShiftRight
from tests.cases.arithmetic import FORMS
from tests.cases.case import Case, case

ALL: dict[str, Integer] = {
    "bit_and": BitAnd(),
    "bit_or": BitOr(),
    "bit_xor": BitXor(),
    "modulo": Modulo(),
    "quotient": Quotient(),
    "remainder": Remainder(),
    "shift_left": ShiftLeft(),
    "shift_right": ShiftRight(),
}
_LEAST, _MOST = -(1 << 31), (1 << 31) - 1
_EDGES = (_LEAST, _LEAST + 1, _MOST, 0, -1, 1, 7, -7, 255)
_SMALL = {0: (-1000, 1000), 1: (1, 31)}

CASES: list[Case] = [
    *(case(f"{name}_{form}", op, *FORMS[form], integers=_SMALL) for name, op in ALL.items()
      for form in ("equal", "channels_left", "outer", "scalar")),
    *(case(f"{name}_of_large", op, (60, 17), (17,), integers={0: (_LEAST, _MOST), 1: (-40, 40)})
      for name, op in ALL.items()),
    *(case(f"{name}_edges", op, (9, 1), (24,), special=_EDGES, integers={0: (0, 1), 1: (-3, 3)})
      for name, op in ALL.items()),
    *(case(f"{name}_by_large", op, (33,), (33,), integers={0: (_LEAST, _MOST), 1: (_LEAST, _MOST)})
      for name, op in ALL.items() if name != "shift_left"),
]  # fmt: skip
