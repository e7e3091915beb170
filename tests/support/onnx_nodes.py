"""tests/coverage/onnx_nodes.txt: which node tests of the package onnx pass, and why the others do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

PAGE = Path(__file__).parents[1] / "coverage" / "onnx_nodes.txt"
PART = 100
"""Tests that are compiled to one library."""


def listed() -> dict[str, str]:
    """The reason why each test does not pass, by its name; "" for those that do."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    pairs = [line.partition(": ") for line in lines]
    result = {name: reason for name, _, reason in pairs}
    assert len(result) == len(pairs), "a test is listed twice"
    return result


def parts(reasons: Mapping[str, str]) -> list[list[str]]:
    """The tests that pass, in parts."""
    passing = [name for name, reason in reasons.items() if not reason]
    return [passing[start : start + PART] for start in range(0, len(passing), PART)]


def by_operator(reasons: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """How many tests of each operator pass, and how many there are; one that is expanded counts for what it expands."""
    from tests.support.onnx import suite

    tests = suite()
    totals: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    for name, reason in reasons.items():
        plain = tests.get(name.partition("_expanded")[0], tests[name])
        operator = plain.model.graph.node[-1].op_type
        totals[operator] += 1
        passed[operator] += not reason
    return {operator: (passed[operator], totals[operator]) for operator in sorted(totals)}
