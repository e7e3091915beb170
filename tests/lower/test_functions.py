"""By how many units in the last place kernels of mathematical functions err, and what they give for special values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from convc.ir import Array, Graph, Op, Origin, TensorType, make
from convc.ops import (
    Acos,
    Acosh,
    Asin,
    Asinh,
    Atan,
    Atan2,
    Atanh,
    Cbrt,
    Ceil,
    Cos,
    Cosh,
    Divide,
    Elu,
    Equal,
    Erfc,
    Erfinv,
    Exp,
    Expm1,
    Floor,
    FloorDivide,
    Fmod,
    Gelu,
    Greater,
    GreaterEqual,
    Input,
    IntegerPower,
    Log,
    Log1p,
    Mish,
    Mod,
    Power,
    Reciprocal,
    Round,
    Rsqrt,
    Sigmoid,
    Sign,
    Silu,
    Sin,
    Sinh,
    Softplus,
    Sqrt,
    Tan,
    Tanh,
    Trunc,
)
from convc.target import native
from tests.support.kernels import Kernels, Subject, unscheduled

SAMPLES = 20_000
INF, NAN = np.inf, np.nan


@dataclass(frozen=True)
class Range:
    """A function over uniformly drawn inputs, after which `special` ones come; `wide` ones have uniform logarithms."""

    op: Op
    most: float
    """Units in the last place."""
    low: float
    high: float
    special: tuple[float, ...] = ()
    wide: bool = False
    second: tuple[float, float] | None = None
    least: float = 0.0
    """Results smaller than this may err as much as it would, for what is lost where a function has a zero."""

    @property
    def name(self) -> str:
        """What the test is called."""
        return f"{self.op.kind.lower()}_{self.low:g}_{self.high:g}"

    def inputs(self) -> tuple[Array, ...]:
        """One or two vectors."""
        rng = np.random.default_rng(7)
        low, high = (np.log(self.low), np.log(self.high)) if self.wide else (self.low, self.high)
        drawn = rng.uniform(low, high, SAMPLES)
        if self.wide:
            drawn = np.exp(drawn) * (
                1 if isinstance(self.op, Log | Rsqrt | Sqrt | Acosh) else rng.choice([-1, 1], SAMPLES)
            )
        x = drawn.astype(np.float32)
        x[: len(self.special)] = self.special
        if self.second is None:
            return (x,)
        return x, rng.uniform(*self.second, SAMPLES).astype(np.float32)


RANGES = [
    Range(Acos(), 3, -1, 1, (1.0, -1.0, 0.0, 1.5, NAN)),
    Range(Acosh(), 5, 1, 1e38, (1.0, 0.5, -1e20, INF), wide=True),
    Range(Asin(), 4, -1, 1, (1.0, -1.0, 0.0, -1.5, NAN)),
    Range(Asinh(), 5, 1e-30, 1e38, (0.0, INF, -INF), wide=True),
    Range(Asinh(), 5, -3, 3),
    Range(Atan(), 4, -5, 5, (0.0, INF, -INF)),
    Range(Atanh(), 5, -1, 1, (0.0, 1.0, -1.0, 1.5)),
    Range(Cbrt(), 1, 1e-40, 1e38, (0.0, 1.0, -8.0, INF, -INF), wide=True),
    Range(Ceil(), 0, -1e3, 1e3, (-0.0, 0.5, -0.5, 1e20, INF)),
    Range(Cos(), 3, -1e4, 1e4, (0.0,), least=0.1),
    Range(Cos(), 3, -1e8, 1e8, least=1.0),
    Range(Cosh(), 3, -88.7, 88.7, (0.0, 100.0, -100.0)),
    Range(Divide(), 0.5, -5, 5, (1.0, -1.0), second=(-3, 3)),
    Range(Elu(1.0), 3, -20, 20, (0.0, 100.0, -100.0, INF, -INF)),
    Range(Erfc(), 8, -4, 9.0, (0.0, INF, -INF)),
    Range(Erfinv(), 6, -0.999, 0.999, (0.0, 1.0, -1.0)),
    Range(Exp(), 2, -87, 88.7, (0.0, 88.73, 100.0, -110.0, INF, -INF)),
    Range(Expm1(), 5, -20, 20, (0.0, 100.0, -INF)),
    Range(Floor(), 0, -1e3, 1e3, (0.5, -0.5, 1e20, INF)),
    Range(FloorDivide(), 0, -1e4, 1e4, (6.0, -6.0), second=(0.1, 5)),
    Range(Fmod(), 0.5, -1e4, 1e4, (6.0, -6.0), second=(0.1, 5)),
    Range(Gelu(approximate=False), 5, -8, 8, (0.0, 100.0, -100.0, INF, NAN), least=1.0),
    Range(Gelu(approximate=True), 2, -8, 8, (0.0, 100.0, -100.0, INF, NAN), least=1.0),
    Range(IntegerPower(-5), 6, 0.1, 9),
    Range(IntegerPower(8), 6, -9, 9),
    Range(Log(), 4, 1e-40, 1e38, (0.0, 1.0, -1.0, INF, NAN), wide=True),
    Range(Log(), 4, 0.5, 2, (1.0,)),
    Range(Log1p(), 5, -1, 3, (-1.0, -2.0, 0.0, INF, NAN)),
    Range(Log1p(), 4, 1e-30, 0.9, wide=True),
    Range(Mish(), 5, -80, 80, (0.0, 20.0, 100.0)),
    Range(Mod(), 0.5, -1e4, 1e4, (6.0, -6.0), second=(0.1, 5)),
    Range(Power(), 1, 0, 100, (0.0, 1.0, INF), second=(-15, 15)),
    Range(Power(), 1, 0.9, 1.1, (1.0,), second=(-800, 800)),
    Range(Reciprocal(), 0.5, 1e-37, 1e37, (INF, -INF), wide=True),
    Range(Round(), 0, -100, 100, (-0.0, 0.3, -0.3, 0.5, -0.5, 1.5, 2.5, -2.5, 8388607.5, 1e20, INF, -INF)),
    Range(Rsqrt(), 2, 1e-37, 1e38, (1.0, INF, -1.0), wide=True),
    Range(Sigmoid(), 4, -20, 20, (0.0, 100.0, INF, NAN)),
    Range(Sign(), 0, -1, 1, (0.0, INF, -INF)),
    Range(Silu(), 4, -20, 20, (0.0, 100.0, INF, NAN)),
    Range(Sin(), 3, -1e4, 1e4, (0.0,), least=0.1),
    Range(Sin(), 3, -1e8, 1e8, least=1.0),
    Range(Sinh(), 3, -88.7, 88.7, (0.0, 100.0, -100.0)),
    Range(Sinh(), 3, -2, 2),
    Range(Softplus(), 4, -80, 80, (0.0, 100.0, INF, NAN)),
    Range(Sqrt(), 0.5, 1e-37, 1e38, (0.0, 1.0, INF, -1.0), wide=True),
    Range(Tan(), 6, -1e3, 1e3, (0.0,), least=0.1),
    Range(Tanh(), 3, -12, 12, (0.0, 100.0, -100.0, INF, -INF, NAN)),
    Range(Tanh(), 3, 1e-30, 1, wide=True),
    Range(Trunc(), 0, -1e3, 1e3, (-0.0, 0.5, -0.5, 1e20, INF)),
    Range(Atan2(), 5, -5, 5, (0.0, -0.0, 1.0), second=(-5, 5)),
]
NAMES = [f"{range_.name}_{place}" for place, range_ in enumerate(RANGES)]


def subject(name: str) -> Subject:
    """The function alone, over its inputs."""
    range_ = RANGES[NAMES.index(name)]
    arrays = range_.inputs()
    nodes = [make(Input(TensorType(x.shape)), origin=Origin(f"x{i}", "Input")) for i, x in enumerate(arrays)]
    graph = Graph(name, tuple(nodes), (make(range_.op, *nodes, origin=Origin(name, range_.op.kind)),), ("y",))
    return Subject(name, graph, {f"x{i}": x for i, x in enumerate(arrays)})


@cache
def results() -> dict[str, tuple[Array, Array]]:
    """What the kernels give, and what is right, in float64."""
    subjects = [subject(name) for name in NAMES]
    kernels = Kernels([each.graph for each in subjects], native(), unscheduled)
    return {each.name: (kernels.run(each)["y"].astype(np.float64), each.want["y"]) for each in subjects}


def errors(got: Array, want: Array, least: float = 0.0) -> Array:
    """In units of `want`, or of `least` where that is larger."""
    with np.errstate(over="ignore", invalid="ignore"):
        unit = np.spacing(np.maximum(np.abs(want.astype(np.float32)), np.float32(least)))
        result: Array = np.abs(got - want) / unit.astype(np.float64)
        return result


@pytest.mark.parametrize("name", NAMES)
def test_units_in_the_last_place(name: str) -> None:
    got, want = results()[name]
    range_ = RANGES[NAMES.index(name)]
    with np.errstate(over="ignore"):
        single = want.astype(np.float32)
    finite = np.isfinite(single)
    assert np.all(np.isfinite(got[finite]))
    found = np.where(finite, errors(got, want, range_.least), 0)
    assert found.max() <= range_.most, f"{found.max():.3g} at {range_.inputs()[0][found.argmax()]}"
    np.testing.assert_array_equal(got[~finite], single[~finite])
    is_zero = want == 0
    np.testing.assert_array_equal(np.signbit(got[is_zero]), np.signbit(want[is_zero]))


def test_a_few_units_more_are_seen() -> None:
    got, want = results()[NAMES[0]]
    finite = np.isfinite(want)
    assert errors(got[finite] * (1 + 1e-6), want[finite]).max() > RANGES[0].most


@pytest.mark.parametrize("op", [Equal(), Greater(), GreaterEqual()], ids=str)
def test_nothing_compares_with_nan(op: Op) -> None:
    values = np.array([NAN, NAN, 0.0, INF, -INF], np.float32)
    others = np.array([NAN, 0.0, NAN, INF, 1.0], np.float32)
    nodes = [make(Input(TensorType((5,))), origin=Origin(f"x{i}", "Input")) for i in range(2)]
    graph = Graph("g", tuple(nodes), (make(op, *nodes, origin=Origin("y", op.kind)),), ("y",))
    feeds = {"x0": values, "x1": others}
    got = Kernels([graph], native(), unscheduled).run(Subject("g", graph, feeds))["y"]
    np.testing.assert_array_equal(got, op.reference(values, others))
