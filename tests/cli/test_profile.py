"""`convc profile`: the figures, from times that are made up here."""

from __future__ import annotations

import pytest

from convc.artifact import LaunchInfo
from convc.cli.profile import Profile, describe, most_expensive, show, summary

LAUNCHES = (
    LaunchInfo("conv_a", "conv_1+relu", 4_000_000, 100),
    LaunchInfo("pool", "pool_1", 0, 300),
    LaunchInfo("conv_a", "conv_2+relu", 4_000_000, 100),
)
TIMED = [
    (0.020, [0.010, 0.003, 0.006]),
    (0.011, [0.005, 0.002, 0.003]),
    (0.013, [0.006, 0.001, 0.004]),
    (0.050, [0.040, 0.003, 0.006]),
]
"""Wall time of each run and the times of its launches; the second and the third run are the faster half."""


@pytest.fixture
def profile() -> Profile:
    return summary(LAUNCHES, TIMED, 4e9)


def test_the_faster_half_counts(profile: Profile) -> None:
    assert profile.seconds == pytest.approx(0.012)
    assert [row.seconds for row in profile.rows] == pytest.approx([0.0055, 0.0015, 0.0035])
    assert summary(LAUNCHES, TIMED[:1], 4e9).seconds == 0.020


def test_rows_and_overhead_sum_to_the_run(profile: Profile) -> None:
    report = describe(profile)
    assert report["overhead_seconds"] == pytest.approx(0.0015)
    assert report["kernel_seconds"] + report["overhead_seconds"] == pytest.approx(report["seconds"])
    shares = [call["share"] for call in report["calls"]]
    assert sum(shares) + report["overhead_seconds"] / report["seconds"] == pytest.approx(1)


def test_speeds_and_shares_of_the_peak(profile: Profile) -> None:
    report = describe(profile)
    first = report["calls"][0]
    assert first["gflops"] == pytest.approx(0.004 / 0.0055)
    assert first["of_peak"] == pytest.approx(0.001 / 0.0055)
    assert report["gflops"] == pytest.approx(0.008 / 0.012)
    assert report["of_peak"] == pytest.approx(0.002 / 0.012)
    assert report["peak_gflops"] == 4


def test_an_unknown_peak_has_no_shares() -> None:
    report = describe(summary(LAUNCHES, TIMED, 0.0))
    assert report["peak_gflops"] is report["of_peak"] is report["calls"][0]["of_peak"] is None


def test_calls_of_one_kernel_are_one_row(profile: Profile) -> None:
    first, second = most_expensive(profile.rows, 2)
    assert (first.kernel, first.calls, first.flops, first.bytes) == ("conv_a", 2, 8_000_000, 200)
    assert first.layers == "conv_1+relu, conv_2+relu"
    assert first.seconds == pytest.approx(0.009)
    assert (second.kernel, second.calls) == ("pool", 1)
    assert most_expensive(profile.rows, 9) == (first, second)


def test_what_is_left_is_one_row(profile: Profile) -> None:
    rows = most_expensive(profile.rows, 1)
    assert [row.kernel for row in rows] == ["conv_a", "1 other kernel"]
    assert rows[1].layers == ""
    assert sum(row.seconds for row in rows) == pytest.approx(profile.kernels)


def test_a_gpu_has_no_peak(capsys: pytest.CaptureFixture[str]) -> None:
    profile = summary(LAUNCHES, TIMED, 0.0, "cuda:1")
    report = describe(profile)
    assert (report["device"], report["peak_gflops"], report["of_peak"]) == ("cuda:1", None, None)
    assert report["calls"][0]["gflops"] == pytest.approx(0.004 / 0.0055)
    show(profile, "call")
    text = capsys.readouterr().out
    assert text.splitlines()[0].split() == ["call", "kernel", "layers", "µs", "share", "TFLOP/s", "GB/s"]
    assert "peak" not in text
    assert text.splitlines()[-1] == "on cuda:1"


def test_a_cpu_has_a_peak(profile: Profile, capsys: pytest.CaptureFixture[str]) -> None:
    show(profile, "call")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[5:] == ["GFLOP/s", "of", "peak", "GB/s"]
    assert lines[-1] == "the FMA peak is 4.0 GFLOP/s"
