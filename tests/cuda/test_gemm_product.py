"""Products of two computed tensors by the device code, in the emulator, against float64 references."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from convc import lower, ops
from convc.ir import Graph
from convc.passes import optimize
from convc.precision import Precision
from convc.schedules.cuda import prepared
from convc.schedules.cuda.gemm_product import ProductRule
from convc.schedules.cuda.gemm_tiles import Cut
from convc.schedules.rule import KernelView
from tests.cases.case import Case
from tests.cases.matmul import CASES, matmul
from tests.cuda.emulator import Copies, Order
from tests.cuda.gemm_support import Builder, Compiled, Subject, check, target_for

pytestmark = pytest.mark.usefixtures("emulated")

OTHERS = {
    "left_transposed", "both_transposed", "batch_last", "batch_last_odd", "two_sums_crossed", "outer",
}  # fmt: skip
"""Cases whose operands lie in other ways."""
FITTING = [case for case in CASES if case.name not in OTHERS]


def subject(case: Case, precision: Precision, *, scaled: bool = False) -> Subject:
    """The product, times a factor for each output and plus a bias where it is `scaled`."""
    b = Builder(precision, case.seed)
    operands = [
        b.weights(*type_.shape) if position in case.constant_inputs else b.input(*type_.shape)
        for position, type_ in enumerate(case.input_types)
    ]
    y = b.apply(case.op, *operands)
    if scaled:
        y = b.apply(ops.Multiply(), y, b.input(*y.type.shape))
        y = b.apply(ops.Add(), y, b.weights(y.type.shape[-1]))
    return Subject(Graph("net", tuple(b.inputs), (y,), ("y",)), b.feeds, precision)


# What bfloat16 has of its own is one instruction, which `test_tiles` uses.
@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.TF32, Precision.FLOAT16], ids=lambda p: p.value)
@pytest.mark.parametrize("case", FITTING, ids=lambda case: case.name)
def test_cases(case: Case, precision: Precision) -> None:
    given = subject(case, precision)
    compiled = Compiled(given)
    check(given, compiled, compiled.run())


@pytest.mark.parametrize("case", [case for case in CASES if case.name in OTHERS], ids=lambda case: case.name)
def test_not_others(case: Case) -> None:
    given = subject(case, Precision.FLOAT32)
    (group,) = optimize(given.graph).grouped.groups
    func = prepared(lower.lower(group, lower.Layout(1, threads=True), bounded=True).func)
    assert not ProductRule().applies(KernelView(func), target_for(Precision.FLOAT32))


RAGGED = [
    matmul("ragged_scores", "btnh,bsnh->bnts", (2, 130, 2, 40), (2, 67, 2, 40)),
    matmul("ragged_context", "bnts,bsnh->btnh", (2, 2, 130, 67), (2, 67, 2, 40)),
]


@cache
def ragged(number: int, precision: Precision) -> Subject:
    """Rows, columns and summands that no tile divides, with an epilogue."""
    return subject(RAGGED[number], precision, scaled=True)


@pytest.mark.parametrize("precision", list(Precision), ids=lambda p: p.value)
@pytest.mark.parametrize("number", [0, 1], ids=["scores", "context"])
def test_tiles(number: int, precision: Precision) -> None:
    """Every tile; whatever thread comes first, and whenever copies are done."""
    given = ragged(number, precision)
    for tile in Compiled(given).tiles:
        compiled = Compiled(given, Cut(tile, 1))
        got = compiled.run(Order.BACKWARD, Copies.EARLY)
        check(given, compiled, got)
        np.testing.assert_array_equal(compiled.run(Order.SHUFFLED, Copies.MIXED), got)
