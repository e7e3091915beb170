"""Addition and multiplication with every form of broadcasting."""

from __future__ import annotations

from convc.ir import Shape
from convc.ops import Add, Binary, Multiply
from tests.cases.case import Case, case

_FORMS: dict[str, tuple[Shape, Shape]] = {
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
}


def _all(stem: str, op: Binary) -> list[Case]:
    return [
        *(case(f"{stem}_{form}", op, *shapes) for form, shapes in _FORMS.items()),
        case(f"{stem}_constant_channels", op, (1, 4, 4, 8), (8,), constants=[1]),
        case(f"{stem}_constant_left", op, (8,), (1, 4, 4, 8), constants=[0]),
        case(f"{stem}_constant_scalar", op, (1, 4, 4, 5), (), constants=[1]),
    ]


CASES: list[Case] = [*_all("add", Add()), *_all("multiply", Multiply())]
