"""Batch normalisation at every rank."""

from __future__ import annotations

from convc.ir import Shape
from convc.ops import BatchNorm
from tests.cases.case import Case, case


def batch_norm(name: str, x: Shape, epsilon: float = 1e-3) -> Case:
    """A batch normalisation of `x` over its last axis with constant statistics."""
    return case(name, BatchNorm(epsilon), x, *[x[-1:]] * 4, constants=(1, 2, 3, 4))


CASES: list[Case] = [
    *(batch_norm(f"c{c}", (n, 4, 5, c)) for n, c in ((1, 1), (2, 3), (1, 7), (3, 16), (1, 33))),
    batch_norm("rank1", (6,)),
    batch_norm("rank2", (3, 10)),
    batch_norm("rank3", (2, 7, 5)),
    batch_norm("rank5", (1, 3, 2, 4, 6)),
    batch_norm("onnx_epsilon", (1, 3, 3, 8), 1e-5),
    batch_norm("large_epsilon", (1, 3, 3, 8), 0.5),
]
