"""Arithmetic on two tensors, with every form of broadcasting."""

from __future__ import annotations

from math import prod

import numpy as np

from convc.ir import Shape
from convc.ops import (
    Add,
    Atan2,
    Binary,
    Divide,
    FloorDivide,
    Fmod,
    Maximum,
    Minimum,
    Mod,
    Multiply,
    Power,
    Subtract,
)
from tests.cases.case import Case, case

FORMS: dict[str, tuple[Shape, Shape]] = {
    "equal": ((2, 3, 5, 7), (2, 3, 5, 7)),
    "equal_rank1": ((9,), (9,)),
    "equal_rank5": ((1, 2, 3, 2, 5), (1, 2, 3, 2, 5)),
    "scalar": ((2, 3, 4, 5), ()),
    "scalar_left": ((), (2, 3, 4)),
    "one": ((1, 4, 4, 6), (1,)),
    "channels": ((2, 4, 3, 10), (10,)),
    "channels_left": ((17,), (1, 3, 3, 17)),
    "channels_4d": ((2, 4, 3, 10), (1, 1, 1, 10)),
    "squeeze_excite": ((2, 5, 4, 16), (2, 1, 1, 16)),
    "squeeze_excite_left": ((3, 1, 1, 7), (3, 4, 4, 7)),
    "spatial_gate": ((2, 4, 5, 6), (2, 4, 5, 1)),
    "batch": ((3, 2, 2, 4), (3, 1, 1, 1)),
    "rows": ((2, 4, 5, 3), (1, 4, 1, 3)),
    "outer": ((2, 5, 1), (1, 1, 7)),
    "outer_rank2": ((6, 1), (1, 5)),
    "lower_rank": ((2, 3, 4, 5), (4, 5)),
    "one_between": ((2, 1, 4, 6), (4, 6)),
    "one_between_batch": ((3, 1, 4, 5), (3, 1, 1, 5)),
    "ones_between": ((2, 1, 1, 3, 5), (1, 1, 1, 3, 5)),
}


def _all(stem: str, op: Binary) -> list[Case]:
    return [
        *(case(f"{stem}_{form}", op, *shapes) for form, shapes in FORMS.items()),
        case(f"{stem}_constant_channels", op, (1, 4, 4, 8), (8,), constants=[1]),
        case(f"{stem}_constant_left", op, (8,), (1, 4, 4, 8), constants=[0]),
        case(f"{stem}_constant_scalar", op, (1, 4, 4, 5), (), constants=[1]),
    ]


ALL: dict[str, Binary] = {
    "add": Add(),
    "atan2": Atan2(),
    "divide": Divide(),
    "floor_divide": FloorDivide(),
    "fmod": Fmod(),
    "maximum": Maximum(),
    "minimum": Minimum(),
    "mod": Mod(),
    "multiply": Multiply(),
    "power": Power(),
    "subtract": Subtract(),
}
_SOME = ("equal", "scalar", "channels_left", "squeeze_excite", "outer", "lower_rank")
_BASES = (1.0, 2.0, 10.0, 0.5, 0.99, 1.01, 3.0, 1e-3, 1e3, 7.5, 1.0000001, 33.0)
_EXPONENTS = np.random.default_rng(5).uniform(0.05, 6.0, 300).tolist()
_SIDES = (3.0, -3.0, 0.0, -0.0, 5.5, -5.5, 1e5, -1e5, 7.25, 1e-3, 4.0, -8.0)

CASES: list[Case] = [
    *_all("add", Add()),
    *_all("multiply", Multiply()),
    *_all("subtract", Subtract()),
    *_all("maximum", Maximum()),
    *(case(f"{name}_{form}", ALL[name], *FORMS[form])
      for name in ("minimum", "divide", "floor_divide", "fmod", "mod", "atan2") for form in _SOME),
    *(case(f"power_{form}", Power(), *FORMS[form], special=_EXPONENTS[: prod(FORMS[form][0])])
      for form in ("equal", "channels", "scalar")),
    case("power_edges", Power(), (12, 1), (12,), special=_BASES),
    case("power_of_constant", Power(), (1,), (2, 30), constants=[0], special=(2.0,)),
    case("divide_constant", Divide(), (2, 5, 6), (6,), constants=[1]),
    case("divide_by_tiny", Divide(), (2, 6), (6, ), constants=[1], scale=1e-20),
    case("mod_constant", Mod(), (2, 40), (1,), constants=[1], scale=30.0),
    case("mod_edges", Mod(), (12, 1), (12,), special=_SIDES),
    case("fmod_edges", Fmod(), (12, 1), (12,), special=_SIDES),
    case("floor_divide_edges", FloorDivide(), (12, 1), (12,), special=_SIDES),
    case("atan2_edges", Atan2(), (12, 1), (12,), special=_SIDES),
    *(case(f"{name}_integers", ALL[name], (4, 5), (5,), integers={0: (-9, 9), 1: (-9, 9)})
      for name in ("add", "subtract", "multiply", "maximum", "minimum")),
]  # fmt: skip
