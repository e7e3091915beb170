"""The figures of the benchmark's tables, from measurements that are made up here."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.footprint import Compilation, FirstAnswer
from benchmarks.measure import Latency, Race
from benchmarks.report import (
    Footprint,
    Ratio,
    Result,
    geometric_means,
    memory,
    rate,
    ratio,
    share_of_peak,
    to_json,
    to_markdown,
)
from convc.artifact import Metadata

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


BESIDE = replace(
    RESULT, race=Race({**RACE.latencies, "torch": Latency((0.005, 0.010, 0.005), 0.005)}, RACE.peaks)
)  # fmt: skip
"""With a peer that is faster than all others and does not count."""


def test_a_peer_beside_the_others_is_shown_and_not_counted() -> None:
    rows = to_json([BESIDE], [])["results"]
    assert isinstance(rows, list)
    assert rows[0]["ratios"]["torch"]["median"] == pytest.approx(0.5)
    assert rows[0]["ratios"]["fastest"]["median"] == pytest.approx(1.5)
    header, _, row = (line for line in to_markdown([BESIDE], []).splitlines() if line.startswith("|"))
    assert "| by torch |" in header
    assert "| 0.50x (0.50 to 0.50) |" in row


def test_geometric_means_are_of_models_under_the_same_conditions() -> None:
    twice = Race({**RACE.latencies, "convc": Latency((0.005, 0.010, 0.005), 0.005)}, RACE.peaks)
    results = [RESULT, replace(RESULT, model="vgg16", race=twice), replace(RESULT, threads=1, race=twice)]
    one, two = geometric_means(results)
    assert (one["threads"], one["models"], two["threads"], two["models"]) == (1, 1, 2, 2)
    for mean, factor in ((one, 2.0), (two, 2.0**0.5)):
        ratios = mean["ratios"]
        assert isinstance(ratios, dict)
        wanted = {"onnxruntime": 1.5 * factor, "OpenVINO": 2 * factor, "fastest": 1.5 * factor}
        assert ratios == pytest.approx(wanted)
    text = to_markdown(results, [])
    assert "Geometric mean of 2 models, batch 1, 2 threads: 2.12x by the fastest of onnxruntime and OpenVINO" in text


def test_a_peer_that_not_all_models_were_measured_with_has_no_mean() -> None:
    (mean,) = geometric_means([RESULT, BESIDE])
    ratios = mean["ratios"]
    assert isinstance(ratios, dict)
    assert "torch" not in ratios


FOOTPRINT = Footprint(
    "resnet50", 1, 2, Compilation(6.0, 500_000_000), 103_000_000,
    Metadata(1, "0.1.0", "net", (), (), "x86-64-v4", "x86_64", (), "cpu", (), 0, "float32", arena_bytes=12_000_000,
             activation_bytes=50_000_000, weights_bytes=100_000_000, launches=()),
    live_bytes=10_000_000,
    first_answers={"convc": FirstAnswer(0.1, 0.2, 120_000_000, 20_000_000)},
)  # fmt: skip


def test_memory_is_held_against_the_promise() -> None:
    held = memory(FOOTPRINT)
    assert (held.weights, held.made, held.live, held.arena) == (100_000_000, 20_000_000, 10_000_000, 12_000_000)
    assert held.promise == 132_000_000
    text = to_markdown([RESULT], [FOOTPRINT])
    assert "| resnet50 | 1 | 2 | 100.0 | 20.0 | 10.0 | 12.0 | 1.20 | 120.0 | 132.0 | 91% |" in text
    tables = text.split("\n\n")
    assert all(len({line.count("|") for line in table.splitlines()}) == 1 for table in tables if table.startswith("|"))
    costs = to_json([RESULT], [FOOTPRINT])["footprints"]
    assert isinstance(costs, list)
    assert costs[0]["memory"]["needed"] == 120_000_000
