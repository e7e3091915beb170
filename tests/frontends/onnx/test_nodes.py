"""The node tests of the package onnx, as tests/coverage/onnx_nodes.txt lists them."""

from __future__ import annotations

from pathlib import Path

import pytest

from convc import target as targets
from convc.errors import UnsupportedError
from tests.support.onnx import answers, node_test, suite
from tests.support.onnx_nodes import by_operator, listed, parts

LISTED = listed()
PARTS = parts(LISTED)
LEAST = 1500
"""Tests that pass: the number only grows."""


@pytest.mark.parametrize("part", range(len(PARTS)))
def test_those_that_pass(part: int, tmp_path: Path) -> None:
    tests = [node_test(name) for name in PARTS[part]]
    got = answers(tests, targets.resolve("native"), tmp_path)
    problems = [problem for test in tests if (problem := test.problem(got[test.name]))]
    assert not problems, "\n".join(problems)


def test_the_others_are_refused() -> None:
    wrong = []
    for name in [name for name, reason in LISTED.items() if reason]:
        try:
            node_test(name)
        except UnsupportedError as error:
            if not all(problem.subject for problem in error.problems):
                wrong.append(f"{name}: {error}")
        except Exception as error:
            wrong.append(f"{name}: {type(error).__name__}: {error}")
        else:
            wrong.append(f"{name}: it is read; python -m tests.tools.onnx_nodes says whether it passes")
    assert not wrong, "\n".join(wrong)


def test_every_test_is_listed() -> None:
    assert sorted(LISTED) == sorted(suite()), "run: python -m tests.tools.onnx_nodes"


def test_counts_of_operators() -> None:
    counts = by_operator(LISTED)
    assert sum(total for _, total in counts.values()) == len(LISTED)
    assert all(passed == total for operator, (passed, total) in counts.items() if operator in ("Conv", "MaxPool"))
    assert counts["Relu"] == (2, 2)


def test_reasons_are_short() -> None:
    assert all(len(reason) <= 60 and reason == reason.strip() for reason in LISTED.values())
    assert len(set(LISTED.values())) < 60


def test_as_many_pass_as_before() -> None:
    assert sum(not reason for reason in LISTED.values()) >= LEAST
