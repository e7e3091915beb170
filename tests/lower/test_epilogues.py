"""Elementwise ops of one, two and three inputs behind others in one kernel, scheduled and not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from convc.ir import Graph, Node
from convc.ops import (
    Add,
    Clip,
    Divide,
    Erf,
    Greater,
    Log1p,
    Maximum,
    Minimum,
    Mod,
    Multiply,
    Power,
    PRelu,
    Sin,
    Square,
    Subtract,
    Where,
)
from convc.passes import optimize
from convc.target import native
from tests.cases.fused import Builder
from tests.support.kernels import Kernels, Subject, check, kernel_groups, scheduled, unscheduled

Recipe = Callable[[Builder], Node]


def prelu(b: Builder) -> Node:
    """Slopes for each channel, as PReLU with shared axes has them."""
    return b.apply(PRelu(), b.conv(b.input(2, 6, 5, 7), 19), b.weights(1, 1, 19))


def prelu_pointwise(b: Builder) -> Node:
    """Slopes for each element, in a product of matrices."""
    return b.apply(PRelu(), b.conv(b.input(2, 6, 5, 7), 10, 1), b.weights(6, 5, 10))


def where_as_condition(b: Builder) -> Node:
    """The kernel's own result is compared, and chooses between others, one of them in full."""
    above = b.apply(Greater(), b.conv(b.input(1, 6, 5, 8), 9), b.weights(9))
    return b.apply(Where(), above, b.input(1, 6, 5, 9), b.weights(1))


def where_as_choice(b: Builder) -> Node:
    """The kernel's own result is chosen by a mask of rows."""
    mask = b.apply(Greater(), b.input(2, 6, 1, 1), b.weights(1))
    return b.apply(Where(), mask, b.conv(b.input(2, 6, 5, 8), 9), b.weights(9))


def where_as_alternative(b: Builder) -> Node:
    """The third input is the kernel's own."""
    return b.apply(Where(), b.apply(Greater(), b.input(4, 1), b.weights(1)), b.weights(33), b.dense(b.input(4, 9), 33))


def long_chain(b: Builder) -> Node:
    """Everything that keeps a value between."""
    y = b.apply(Subtract(), b.weights(11), b.dense(b.input(5, 8), 11))
    y = b.apply(Divide(), b.apply(Square(), y), b.input(5, 11))
    y = b.apply(Sin(), b.apply(Clip(-3.0, 4.0), y))
    y = b.apply(Maximum(), y, b.apply(Minimum(), b.input(1, 11), b.weights(1)))
    y = b.apply(Log1p(), b.apply(Square(), y))
    y = b.apply(Power(), b.apply(Add(), y, b.weights(1, 1)), b.apply(Square(), b.weights(11)))
    return b.apply(Multiply(), b.apply(Erf(), b.apply(Square(), y)), b.weights(11))


def remainders(b: Builder) -> Node:
    """Behind a reduction-free chain that is its own anchor."""
    return b.apply(Mod(), b.apply(Multiply(), b.input(3, 4, 17), b.input(4, 1)), b.input(17))


RECIPES: list[tuple[Recipe, int]] = [
    (prelu, 1), (prelu_pointwise, 1), (where_as_condition, 1), (where_as_choice, 2), (where_as_alternative, 2),
    (long_chain, 2), (remainders, 1),
]  # fmt: skip
"""A graph, and how many kernels it takes."""


def subject(recipe: Recipe) -> Subject:
    """The recipe's graph over seeded feeds."""
    b = Builder(np.random.default_rng(11))
    output = recipe(b)
    return Subject(recipe.__name__, Graph(recipe.__name__, tuple(b.inputs), (output,), ("y",)), b.feeds)


@pytest.mark.parametrize("schedule", [unscheduled, scheduled], ids=["unscheduled", "scheduled"])
def test_values(schedule: Callable[..., object]) -> None:
    subjects = [subject(recipe) for recipe, _ in RECIPES]
    kernels = Kernels([each.graph for each in subjects], native(), schedule)  # type: ignore[arg-type]
    check(kernels.run, subjects)


@pytest.mark.parametrize(("recipe", "count"), RECIPES, ids=lambda value: getattr(value, "__name__", None))
def test_how_many_kernels(recipe: Recipe, count: int) -> None:
    assert len(kernel_groups(optimize(subject(recipe).graph).grouped)) == count
