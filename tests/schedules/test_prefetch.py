"""Prefetches of weights and of residuals: where they are, how many, and that answers stay right."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from convc.build.kernels import build
from convc.ir import Graph
from convc.ops import Add
from convc.passes import optimize
from convc.schedules.cpu import tile
from convc.target import native, resolve
from tests.cases import fused
from tests.cases.conv import conv
from tests.support.kernels import PARTS, Kernels, Subject, check, kernel_groups, of_case, scheduled

SMALL_CACHES = replace(native(), l2=1 << 10)
"""Weights of nearly every layer are larger than these caches: filters are the outer loop."""

LARGE_CACHES = replace(native(), l2=1 << 21)

DEEP = [
    of_case(conv("deep_1x1", (1, 7, 7, 512), (1, 1, 512, 2048), bias=True)),
    of_case(conv("deep_1x1_long", (1, 7, 7, 2048), (1, 1, 2048, 512), bias=True)),
    of_case(conv("deep_3x3", (1, 7, 7, 512), (3, 3, 512, 512), padding="same", bias=True)),
]
"""As at the end of ResNet-50."""


@pytest.fixture
def orders(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each order of loops was made."""
    made: Counter[str] = Counter()

    def spy(name: str) -> None:
        original = getattr(tile, name)

        def count(*arguments: Any) -> Any:
            made[name] += 1
            return original(*arguments)

        monkeypatch.setattr(tile, name, count)

    for name in ("_positions_outside", "_filters_outside", "_blocked"):
        spy(name)
    return made


@pytest.mark.parametrize("part", ["conv-0", "conv-2", "dense-0"])
def test_cases_on_small_caches(part: str, orders: Counter[str]) -> None:
    subjects = PARTS[part]
    kernels = Kernels([subject.graph for subject in subjects], SMALL_CACHES, scheduled, bounded=False)
    check(kernels.run, subjects)
    assert orders["_filters_outside"] > 0


def test_deep_layers(orders: Counter[str]) -> None:
    direct = partial(scheduled, exact=True)
    check(Kernels([subject.graph for subject in DEEP], LARGE_CACHES, direct, bounded=False).run, DEEP)
    assert orders["_blocked"] == 2
    assert orders["_filters_outside"] == 1


def residual() -> Subject:
    b = fused.Builder(np.random.default_rng(4))
    x = b.input(1, 14, 14, 32)
    y = b.apply(Add(), b.conv(x, 64, 1), b.input(1, 14, 14, 64))
    return Subject("residual", Graph("net", tuple(b.inputs), (y,), ("y",)), b.feeds)


def prefetches(graph: Graph, l2: int) -> tuple[int, list[str]]:
    """Prefetches in the scheduled function, and the prefetch instructions of its code."""
    target = replace(resolve("sapphirerapids"), l2=l2)
    (group,) = kernel_groups(optimize(graph).grouped)
    made = build(group, target, bounded=False, exact=True)
    module = Kernels([graph], target, lambda *key: scheduled(*key, exact=True), bounded=False).module
    code = [line.split()[0] for line in module.inspect_source("asm").splitlines() if "\tprefetch" in line]
    return made.func.script().count("T.prefetch("), code


@pytest.mark.parametrize(
    ("name", "x", "kernel"),
    [
        ("filters outside", (1, 14, 14, 64), (3, 3, 64, 64)),
        ("pointwise", (1, 14, 14, 256), (1, 1, 256, 64)),
        ("blocked", (1, 14, 14, 128), (3, 3, 128, 64)),
    ],
)
def test_weights_are_fetched_ahead(name: str, x: tuple[int, ...], kernel: tuple[int, ...]) -> None:
    """One line of weights for each step over channels, into the L2 cache; none where weights stay in the cache."""
    graph = conv(name, x, kernel, padding="same").graph()
    count, code = prefetches(graph, l2=1 << 14)
    assert count == 1
    assert code
    assert set(code) == {"prefetcht1"}
    assert prefetches(graph, l2=1 << 21) == (0, [])


def test_residuals_are_not_fetched_ahead() -> None:
    """Only the weights are, and only where they do not stay in the cache."""
    subject = residual()
    assert prefetches(subject.graph, l2=1 << 21) == (0, [])
    count, code = prefetches(subject.graph, l2=1 << 10)
    assert count == 1
    assert set(code) == {"prefetcht1"}
    check(Kernels([subject.graph], LARGE_CACHES, scheduled, bounded=False).run, [subject])
    check(Kernels([subject.graph], SMALL_CACHES, scheduled, bounded=False).run, [subject])
