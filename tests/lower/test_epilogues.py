"""Elementwise ops of one, two and three inputs behind others in one kernel, scheduled and not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tvm import tirx

from convc.ir import Graph, Node
from convc.lower.activation import unary
from convc.lower.arithmetic import binary
from convc.ops import (
    Add,
    Binary,
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
    Unary,
    Where,
)
from convc.passes import optimize
from convc.target import native
from tests.cases import activation, arithmetic
from tests.cases import unary as functions
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
    """Sums, quotients, functions and powers; too much for one kernel."""
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
    (long_chain, 5), (remainders, 1),
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


def written_out(expression: Any, reads: list[tuple[Any, int]]) -> int:
    """How often an expression has the variables that `reads` begins with, where the others are written out."""
    match expression:
        case tirx.Var():
            return next((count for variable, count in reads if variable.same_as(expression)), 0)
        case tirx.Let():
            value = written_out(expression.value, reads)
            return written_out(expression.body, [(expression.var, value), *reads])
    names = ("a", "b", "value", "condition", "true_value", "false_value")
    parts = [getattr(expression, name) for name in names if hasattr(expression, name)]
    return sum(written_out(part, reads) for part in (*parts, *getattr(expression, "args", ())) if hasattr(part, "ty"))


@pytest.mark.parametrize("op", [*activation.ALL.values(), *functions.ALL.values()], ids=str)
def test_how_often_a_function_reads_its_argument(op: Unary) -> None:
    x = tirx.Var("x", "float32")
    assert written_out(unary(op, x), [(x, 1)]) <= op.reads


@pytest.mark.parametrize("op", arithmetic.ALL.values(), ids=str)
def test_how_often_an_operation_reads_its_operands(op: Binary) -> None:
    x, y = tirx.Var("x", "float32"), tirx.Var("y", "float32")
    assert written_out(binary(op, x, y), [(x, 1), (y, 1)]) <= 2 * op.reads


def test_that_the_count_writes_out() -> None:
    x, y = tirx.Var("x", "float32"), tirx.Var("y", "float32")
    assert written_out(tirx.Let(y, x * x + x, y * y * tirx.Select(y > 1.0, y, x)), [(x, 1)]) == 13
    assert written_out(binary(Power(), x, y), [(x, 1), (y, 1)]) > 1000
