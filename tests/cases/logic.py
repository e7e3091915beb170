"""Comparisons and choices, with many equal pairs, and every form of broadcasting."""

from __future__ import annotations

from convc.ops import Comparison, Equal, Greater, GreaterEqual, NotEqual, Where
from tests.cases.arithmetic import FORMS
from tests.cases.case import Case, case

ALL: dict[str, Comparison] = {
    "equal": Equal(),
    "greater": Greater(),
    "greater_equal": GreaterEqual(),
    "not_equal": NotEqual(),
}
_TIES = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -2.5, 1e-30, 3e38, 0.1)

CASES: list[Case] = [
    *(case(f"{name}_{form}", op, *shapes) for name, op in ALL.items() for form, shapes in FORMS.items()
      if form in ("equal", "channels_left", "outer", "scalar") and name != "equal"),
    *(case(f"{name}_ties", op, (10, 1), (3,), special=_TIES, scale=0.0) for name, op in ALL.items()),
    *(case(f"{name}_integers", op, (4, 5), (5,), integers={0: (-2, 3), 1: (-2, 3)}) for name, op in ALL.items()),
    case("where", Where(), (2, 3, 5, 7), (2, 3, 5, 7), (2, 3, 5, 7), special=(0.0, -0.0, 1.0) * 30),
    case("where_of_rows", Where(), (4, 1, 1), (1, 3, 1), (17,), special=(0.0, 1.0, 0.0, 2.0)),
    case("where_larger_condition", Where(), (2, 4, 9), (9,), (1,), special=(0.0, 1.0) * 36),
    case("where_constants", Where(), (3, 10), (1,), (10,), constants=[1, 2], special=(0.0, 1.0, 1.0) * 10),
]  # fmt: skip
