"""What is fused behind the spreading of a transposed convolution's phases."""

from __future__ import annotations

import numpy as np
import pytest

from convc.ir import Graph, Node
from convc.ops import Add, ConvTranspose, Multiply, Relu, Sigmoid, Tanh
from convc.passes import optimize
from convc.target import native
from tests.cases.fused import Builder
from tests.support.kernels import Kernels, Schedule, Subject, check, scheduled, unscheduled


def up(b: Builder, x: Node, filters: int, kernel: int, crop: tuple[int, int]) -> Node:
    rank = x.type.rank - 2
    op = ConvTranspose((2,) * rank, (1,) * rank, (crop,) * rank)
    weights = b.weights(*(kernel,) * rank, filters, x.type.shape[-1], scale=0.2)
    return b.apply(op, x, weights, b.weights(filters))


def subject(name: str) -> Subject:
    """A transposed convolution and its followers."""
    b = Builder(np.random.default_rng(len(name)))
    x = b.input(2, 3, 4, 6)
    if name == "sum":
        y = b.apply(Relu(), b.apply(Add(), up(b, x, 5, 3, (0, 1)), b.input(2, 6, 8, 5)))
    elif name == "cropped sum":
        y = b.apply(Tanh(), b.apply(Add(), b.input(1, 6, 1, 17), up(b, x, 17, 4, (1, 1))))
    elif name == "scaled":
        y = b.apply(Multiply(), b.apply(Relu(), up(b, x, 16, 4, (1, 1))), b.weights(16))
    elif name == "gated":
        y = up(b, x, 8, 2, (0, 0))
        y = b.apply(Multiply(), y, b.apply(Sigmoid(), y))
    else:
        y = b.apply(Add(), b.apply(Relu(), up(b, b.input(2, 5, 3), 7, 2, (0, 0))), b.input(2, 10, 7))
    return Subject(name, Graph(name, tuple(b.inputs), (y,), ("y",)), b.feeds)


GROUPS = {
    "sum": [["Conv"], ["DepthToSpace", "Add", "Relu"]],
    "cropped sum": [["Conv"], ["DepthToSpace", "Add", "Tanh"]],
    "scaled": [["Conv", "Relu"], ["DepthToSpace", "Multiply"]],
    "gated": [["Conv"], ["DepthToSpace"], ["Sigmoid", "Multiply"]],
    "rank 1": [["Conv", "Relu"], ["Reshape"], ["Add"]],
}


@pytest.mark.parametrize("name", GROUPS)
def test_the_groups(name: str) -> None:
    grouped = optimize(subject(name).graph).grouped
    assert [[node.op.kind for node in group.nodes] for group in grouped.groups] == GROUPS[name]


@pytest.mark.parametrize("schedule", [unscheduled, scheduled])
def test_the_kernels(schedule: Schedule) -> None:
    subjects = [subject(name) for name in GROUPS]
    check(Kernels([s.graph for s in subjects], native(), schedule).run, subjects)
