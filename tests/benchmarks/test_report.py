"""The figures of the benchmark's tables, from measurements that are made up here."""

from __future__ import annotations

import pytest

from benchmarks.measure import Latency, Race
from benchmarks.report import Ratio, Result, rate, ratio, share_of_peak, to_json, to_markdown

RACE = Race(
    {
        "convc": Latency((0.010, 0.020, 0.010), 0.009),
        "onnxruntime": Latency((0.020, 0.030, 0.015), 0.012),
        "OpenVINO": Latency((0.012, 0.050, 0.020), 0.011),
    },
    (4e11, 2e11, 4e11),
)
RESULT = Result("resnet50", batch=1, threads=2, flops=2_000_000_000, race=RACE)


def test_a_ratio_compares_within_a_round() -> None:
    assert ratio(RACE, ["onnxruntime"]) == Ratio(1.5, 1.5, 2.0)


def test_the_fastest_peer_is_chosen_in_each_round() -> None:
    assert ratio(RACE, ["onnxruntime", "OpenVINO"]) == Ratio(1.5, 1.2, 1.5)


def test_rates_are_of_the_median_round() -> None:
    assert rate(RESULT) == pytest.approx(2e11)
    assert share_of_peak(RESULT) == pytest.approx(0.5)


def test_an_unknown_peak_gives_no_share() -> None:
    result = Result("resnet50", 1, 2, RESULT.flops, Race(RACE.latencies, (0.0, 0.0, 0.0)))
    assert share_of_peak(result) is None
    assert "unknown" in to_markdown([result], [])


def test_the_table_has_a_cell_for_each_column() -> None:
    table = [line for line in to_markdown([RESULT], []).splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1
    assert "1.50x (1.20 to 1.50)" in table[2]


def test_without_peers_there_is_no_ratio() -> None:
    alone = Result("resnet50", 1, 2, RESULT.flops, Race({"convc": RACE.latencies["convc"]}, RACE.peaks))
    assert "fastest" not in to_markdown([alone], [])
    rows = to_json([alone], [])["results"]
    assert isinstance(rows, list)
    assert rows[0]["ratios"] == {}
