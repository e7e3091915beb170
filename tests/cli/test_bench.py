"""`convc bench`: the statistics."""

from __future__ import annotations

import pytest

from convc.cli.bench import LEAST_RUNS, measure, percentile, summary


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (1, 1), (50, 5), (51, 6), (90, 9), (99, 10), (100, 10)])
def test_percentiles_by_nearest_rank(percent: int, value: float) -> None:
    assert percentile(list(range(1, 11)), percent) == value


def test_summary() -> None:
    report = summary([0.004, 0.001, 0.002, 0.003], batch=8)
    assert report["runs"] == 4
    assert report["min_ms"] == pytest.approx(1)
    assert report["p50_ms"] == pytest.approx(2)
    assert report["p99_ms"] == pytest.approx(4)
    assert report["throughput"] == pytest.approx(8 * 4 / 0.010)


def test_measure_makes_at_least_ten_runs() -> None:
    calls: list[None] = []
    times = measure(lambda: calls.append(None), 0)
    assert len(times) == len(calls) == LEAST_RUNS
    assert all(time >= 0 for time in times)
