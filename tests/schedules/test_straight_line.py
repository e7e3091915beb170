"""Programs for constant matrices: what they compute, and that they need few operations."""

from __future__ import annotations

import numpy as np
import pytest

from convc.lower.cook_toom import transforms
from convc.schedules.cpu.straight_line import Matrix, Program, program

SIZES = [(1, 1), (2, 3), (4, 3), (2, 5), (2, 7), (3, 7)]


def run(made: Program, vector: list[float]) -> list[float]:
    values = list(vector)
    for terms in made.steps:
        values.append(sum(values[at] * factor for at, factor in terms))
    return [sum(values[at] * factor for at, factor in terms) for terms in made.outputs]


@pytest.mark.parametrize(("outputs", "taps"), SIZES)
@pytest.mark.parametrize("side", ["input", "output"])
def test_transforms(side: str, outputs: int, taps: int) -> None:
    matrix: Matrix = getattr(transforms(outputs, taps), side)
    vector = np.random.default_rng(outputs).standard_normal(len(matrix[0]))
    np.testing.assert_allclose(run(program(matrix), list(vector)), np.array(matrix) @ vector, rtol=0, atol=1e-12)


def test_operations() -> None:
    """20 and 14 for F(4, 3) row by row, 53 for the input of F(3, 7)."""
    assert program(transforms(4, 3).input).operations == 14
    assert program(transforms(4, 3).output).operations == 12
    assert program(transforms(3, 7).input).operations <= 43
    assert program(transforms(1, 1).input).operations == 0


def test_rows_of_opposite_points_share_their_halves() -> None:
    assert program(((1.0, 1.0, 1.0, 1.0), (1.0, -1.0, 1.0, -1.0))).operations == 4


def test_a_row_of_zeros() -> None:
    assert program(((0.0, 0.0), (0.0, 2.0))).outputs == ((), ((1, 2.0),))
