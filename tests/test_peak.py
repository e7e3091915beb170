"""The loop that measures the peak: nothing is compared with a time."""

from __future__ import annotations

import platform

import pytest

from convc.peak import Peak


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the loop is known to reach the peak on x86-64 only")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_rate(threads: int) -> None:
    assert 1e8 < Peak().measure(threads, seconds=0.001) < 1e13


def test_without_a_compiler_it_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "/nowhere/cc")
    assert Peak().measure(1) == 0


def test_another_machine_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert Peak().measure(1) == 0
