"""The NumPy references against Keras, on every case; and that the comparison would notice a wrong answer."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import numpy as np
import pytest

from convc.ir import Array, DType
from convc.ops import evaluate
from tests.cases import ALL, fused
from tests.cases.case import Case
from tests.ops.judge import judge
from tests.tolerances import RELATIVE, assert_close, relative_error

EVERY = [pytest.param(case, id=f"{stem}-{case.name}") for stem, cases in ALL.items() for case in cases]


@pytest.fixture(scope="module", autouse=True)
def quick_programs() -> Iterator[None]:
    """Each case is a program that runs once, so jax need not optimise it."""
    jax.config.update("jax_disable_most_optimizations", True)  # type: ignore[no-untyped-call]
    yield
    jax.config.update("jax_disable_most_optimizations", False)  # type: ignore[no-untyped-call]


def reference(case: Case) -> Array:
    """The case's output by the references, through its graph."""
    graph = case.graph()
    return evaluate(graph, case.feeds())[graph.outputs[0]]


@pytest.mark.parametrize("case", EVERY)
def test_reference_agrees_with_keras(case: Case) -> None:
    assert_close(reference(case), judge(case.op, case.inputs()), "reference")


@pytest.mark.parametrize("case", EVERY)
def test_reference_keeps_single_precision(case: Case) -> None:
    """References work in the inputs' precision: `evaluate` alone decides that it is float64."""
    with np.errstate(under="ignore"):
        result = case.op.reference(*case.inputs())
    if any(np.issubdtype(array.dtype, np.floating) for array in case.inputs()):
        assert result.dtype == (np.int32 if case.graph().outputs[0].type.dtype is DType.INT32 else np.float32)
    assert result.shape == case.graph().outputs[0].type.shape


@pytest.mark.parametrize("stem", ALL)
def test_cases_have_names_of_their_own(stem: str) -> None:
    names = [case.name for case in ALL[stem]]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("case", EVERY[::20])
def test_a_case_is_the_same_at_every_call(case: Case) -> None:
    for first, second in zip(case.inputs(), case.inputs(), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("case", EVERY)
def test_a_wrong_answer_fails(case: Case) -> None:
    """One element that is off by 1e-4 of the tensor's norm is above the tolerance of every kind."""
    right = np.asarray(reference(case), np.float64)
    wrong = right.copy()
    wrong[(0,) * wrong.ndim] += 1e-4 * np.linalg.norm(right)
    assert relative_error(wrong, right) > max(RELATIVE[kind] for kind in ("float32", "reference", "kernel", "winograd"))


@pytest.mark.parametrize("name", fused.RECIPES)
def test_fused_cases_are_finite_and_not_all_zero(name: str) -> None:
    graph, feeds = fused.build(name)
    for node, value in evaluate(graph, feeds).items():
        if node in graph.outputs:
            assert np.isfinite(value).all()
            assert np.count_nonzero(value) > 0.2 * value.size
