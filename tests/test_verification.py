"""Verification finds what is wrong, and where. Whole libraries are verified in tests/cli/test_library.py."""

from __future__ import annotations

import numpy as np
import pytest

from convc import ops
from convc.ir import Array, Graph, Node, Origin, TensorType, make
from convc.passes import optimize
from convc.precision import Precision
from convc.target import native
from convc.verification import TOLERANCES, compare, compare_kernels, first_divergence, relative_error
from tests.tolerances import RELATIVE

TOLERANCE = TOLERANCES[Precision.FLOAT32]


def weights(*shape: int, seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def chain(scale: float = 1.0) -> Graph:
    """Dense, batch norm and ReLU, a residual, and a second dense whose weights are scaled."""
    rng = np.random.default_rng(3)

    def dense(x: Node, name: str, factor: float) -> Node:
        origin = Origin(name, "Dense")
        return make(ops.Dense(), x, ops.constant(weights(4, 4, seed=len(name)) * factor, origin), origin=origin)

    x = make(ops.Input(TensorType((2, 4))), origin=Origin("x", "InputLayer"))
    first = dense(x, "first", 1.0)
    origin = Origin("bn", "BatchNormalization")
    statistics = (ops.constant(rng.uniform(0.5, 1.5, 4).astype(np.float32), origin) for _ in range(4))
    norm = make(ops.BatchNorm(1e-3), first, *statistics, origin=origin)
    relu = make(ops.Relu(), norm, origin=Origin("relu", "ReLU"))
    second = dense(relu, "second", scale)
    add = make(ops.Add(), second, x, origin=Origin("add", "Add"))
    last = dense(add, "last layer", 1.0)
    return Graph("chain", (x,), (last,), ("last",))


def feeds() -> dict[str, Array]:
    return {"x": weights(2, 4, seed=11)}


def test_folded_layers_do_not_diverge() -> None:
    graph = chain()
    optimized = optimize(graph).grouped.graph
    assert not any(isinstance(node.op, ops.BatchNorm) for node in optimized.nodes)
    want, got = (ops.evaluate(g, feeds(), keep=True) for g in (graph, optimized))
    assert first_divergence(graph, want, got, TOLERANCE) is None


def test_the_first_wrong_layer_is_named() -> None:
    graph, wrong = chain(), optimize(chain(scale=1.01)).grouped.graph
    want, got = (ops.evaluate(g, feeds(), keep=True) for g in (graph, wrong))
    assert first_divergence(graph, want, got, TOLERANCE) == "layer 'second' (Dense)"


def test_relative_error() -> None:
    one = np.ones((2, 2), np.float32)
    assert relative_error(one, one) == 0
    assert relative_error(one * 2, one) == pytest.approx(1)
    assert relative_error(one, np.zeros((2, 2))) == pytest.approx(2)
    assert relative_error(np.ones(4), one) == float("inf")
    assert relative_error(one * np.nan, one) == float("inf")


def test_a_wrong_answer_is_not_ok() -> None:
    one = np.ones(100)
    assert compare("y", one * (1 + 0.5 * TOLERANCE), one, TOLERANCE).ok
    assert not compare("y", one * (1 + 2 * TOLERANCE), one, TOLERANCE).ok


def test_the_tolerance_is_the_promise() -> None:
    assert RELATIVE["float32"] == TOLERANCE


@pytest.mark.parametrize(
    ("precision", "bits"), [(Precision.TF32, 11), (Precision.FLOAT16, 11), (Precision.BFLOAT16, 8)]
)
def test_tolerances_are_those_of_many_layers(precision: Precision, bits: int) -> None:
    """The error of products of rounded operands is as the table derives it, and 70 layers of it are accepted."""
    rng = np.random.default_rng(5)

    def rounded(value: Array) -> Array:
        mantissa, exponent = np.frexp(value)
        return np.asarray(np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits))

    x, y = rng.standard_normal((2, 4096, 128))
    got, want = (rounded(x) * rounded(y)).sum(axis=1), (x * y).sum(axis=1)
    one = relative_error(got, want)
    assert one == pytest.approx(0.42 * 2.0**-bits * np.sqrt(2), rel=0.03)
    assert 70**0.5 * one < TOLERANCES[precision] < 2 * 100**0.5 * one


def test_the_first_wrong_kernel_is_named() -> None:
    grouped = optimize(chain()).grouped
    want = ops.evaluate(grouped.graph, feeds(), keep=True)
    target = native().name
    assert all(c.ok for c in compare_kernels(grouped, target, feeds(), want, TOLERANCE))
    wrong = grouped.groups[1].output
    kernels = compare_kernels(grouped, target, feeds(), {**want, wrong: want[wrong] * 1.001}, TOLERANCE)
    assert [c.name for c in kernels if not c.ok] == [grouped.groups[1].name]
