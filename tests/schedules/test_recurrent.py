"""Recurrent kernels: what runs in parallel, and the inner loop in machine code."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from convc import schedules
from convc.passes import optimize
from convc.schedules.cpu.recurrent import RecurrentKnobs
from convc.target import Target, resolve
from tests.cases import conv, recurrent
from tests.cases.case import Case
from tests.schedules.test_assembly import check_loops, inner_loops
from tests.support.kernels import Kernels, kernel_groups, scheduled, unscheduled

AVX512, AVX2 = resolve("sapphirerapids"), resolve("x86-64-v3")


def _choice(case: Case, target: Target) -> Any:
    (group,) = kernel_groups(optimize(case.graph()).grouped)
    return schedules.choose(unscheduled(group, target, True).func, target, exact=True)


def _knobs(name: str, batch: int, units: int, cores: int) -> RecurrentKnobs:
    case = recurrent.recurrent(name, recurrent.LSTM, batch, 3, units)
    knobs = _choice(case, replace(AVX512, cores=cores)).knobs
    assert isinstance(knobs, RecurrentKnobs)
    return knobs


def test_sequences_run_in_parallel_where_there_are_enough() -> None:
    knobs = _knobs("many", 8, 128, 2)
    assert (knobs.parallel, knobs.rows) == ("tile", 4)


def test_units_run_in_parallel_where_there_is_one_long_sequence() -> None:
    assert _knobs("one_wide", 1, 256, 2).parallel == "block"


def test_a_short_step_does_not_wake_other_threads() -> None:
    assert _knobs("one_narrow", 1, 64, 2).parallel == "tile"


def test_one_core_shares_nothing() -> None:
    assert _knobs("alone", 1, 256, 1).parallel == "tile"


def test_the_tile_fits_the_registers() -> None:
    for target in (AVX512, AVX2, resolve("x86-64-v2")):
        for batch, units in ((1, 256), (2, 256), (64, 256), (64, 3), (1, 1)):
            knobs = _choice(recurrent.recurrent("tile", recurrent.LSTM, batch, 2, units), target).knobs
            assert 1 <= knobs.rows * knobs.columns * 4 <= target.vector_registers


def test_convolutions_have_other_rules() -> None:
    case = conv.conv("3x3", (1, 28, 28, 128), (3, 3, 128, 128), padding="same", bias=True)
    assert _choice(case, AVX512).rule.name != "recurrent"


@pytest.mark.parametrize("target", [AVX512, AVX2], ids=lambda target: target.name)
@pytest.mark.parametrize("batch", [1, 16])
def test_accumulators_stay_in_registers(target: Target, batch: int) -> None:
    case = recurrent.recurrent("lstm", recurrent.LSTM, batch, 3, 192)
    knobs = _choice(case, target).knobs
    assembly = Kernels([case.graph()], target, scheduled).module.inspect_source("asm")
    loops = [body for body in inner_loops(assembly) if len(body) > 4 * knobs.rows * knobs.columns]
    check_loops(loops, 4 * knobs.rows * knobs.columns, target.lanes)


def test_no_function_of_libm_is_called() -> None:
    case = recurrent.recurrent("gru", recurrent.BIASED, 1, 3, 33)
    assembly = Kernels([case.graph()], AVX512, scheduled).module.inspect_source("asm")
    assert not re.search(r"\b(call|jmp)q?\s+\*?(expf|tanhf|exp|tanh|_ZGV\w+)\b", assembly)
    assert "vfmadd" in assembly
