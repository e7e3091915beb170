"""The largest set of live activations, on graphs small enough to count."""

from __future__ import annotations

import numpy as np

from benchmarks.memory import largest_live_set
from convc.ir import Graph, Node
from convc.ops import Add, MaxPool, Reshape, Softmax
from convc.passes import optimize
from tests.cases import fused

FLOAT = 4


def live(b: fused.Builder, *outputs: Node) -> int:
    names = tuple(f"y{place}" for place in range(len(outputs)))
    return largest_live_set(optimize(Graph("net", tuple(b.inputs), outputs, names)).grouped)


def builder() -> fused.Builder:
    return fused.Builder(np.random.default_rng(0))


def test_a_chain_has_two_neighbours_alive() -> None:
    b = builder()
    x = b.input(1, 8, 8, 3)
    for filters in (4, 16, 8, 2):
        x = b.conv(x, filters)
    assert live(b, x) == 64 * (16 + 8) * FLOAT


def test_what_is_read_later_stays_alive() -> None:
    b = builder()
    skip = b.conv(b.input(1, 8, 8, 3), 4)
    deep = b.conv(b.conv(b.conv(skip, 16), 8), 4)
    assert live(b, b.conv(b.apply(Add(), deep, skip), 2)) == 64 * (4 + 16 + 8) * FLOAT


def test_a_reshape_is_a_view() -> None:
    b = builder()
    pooled = b.apply(MaxPool((2, 2), (2, 2), ((0, 0), (0, 0))), b.conv(b.input(1, 8, 8, 3), 4))
    flat = b.dense(b.apply(Reshape((1, 64)), pooled), 4)
    assert live(b, b.apply(Softmax((1,)), flat)) == (64 * 4 + 64) * FLOAT


def test_the_callers_memory_does_not_count() -> None:
    b = builder()
    assert live(b, b.conv(b.input(1, 8, 8, 3), 4)) == 0
