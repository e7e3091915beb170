"""The inner loops of convolutions, in machine code: one FMA per accumulator of the tile, none spilled."""

from __future__ import annotations

import re
from functools import partial
from math import prod

import pytest

from convc import schedules
from convc.passes import optimize
from convc.target import Target, resolve
from tests.cases.conv import conv
from tests.support.kernels import Kernels, kernel_groups, scheduled, unscheduled

LABEL = re.compile(r"^(\.L\w+):")
BROADCAST = re.compile(r"vbroadcastss\s+-?\w*\(%r(?!ip|sp)|\(%r(?!ip|sp)\S*\{1to16\}")
JUMP = re.compile(r"^\s+j\w+\s+(\.L\w+)")


def inner_loops(assembly: str) -> list[list[str]]:
    """The bodies of the innermost loops with FMAs: from a label to the jump back to it, and no loop inside."""
    lines = [line for line in assembly.splitlines() if not line.lstrip().startswith("#")]
    labels: dict[str, int] = {}
    loops: list[tuple[int, int]] = []
    for place, line in enumerate(lines):
        if label := LABEL.match(line):
            labels[label[1]] = place
        if (jump := JUMP.match(line)) and jump[1] in labels:
            loops.append((labels[jump[1]], place))
    innermost = [
        (start, end) for start, end in loops
        if not any(start <= s and e <= end and (s, e) != (start, end) for s, e in loops)
    ]  # fmt: skip
    bodies = [lines[start : end + 1] for start, end in innermost]
    return [body for body in bodies if any("vfmadd" in line for line in body)]


CASES = {
    "3x3": conv("3x3", (1, 28, 28, 128), (3, 3, 128, 128), padding="same", bias=True),
    "1x1": conv("1x1", (1, 28, 28, 256), (1, 1, 256, 128), bias=True),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("target", [resolve("sapphirerapids"), resolve("x86-64-v3")], ids=lambda target: target.name)
def test_the_register_tile_stays_in_registers(name: str, target: Target) -> None:
    graph = CASES[name].graph()
    (group,) = kernel_groups(optimize(graph).grouped)
    knobs = schedules.choose(unscheduled(group, target, False).func, target, exact=True).knobs
    tile = prod((knobs.rows, knobs.columns, vars(knobs)["vectors"]))
    assert tile >= target.vector_registers // 2, "a tile this small leaves the units idle"
    assembly = Kernels([graph], target, partial(scheduled, exact=True), bounded=False).module.inspect_source("asm")
    check_loops(inner_loops(assembly), tile, target)


def check_loops(loops: list[list[str]], tile: int, target: Target) -> None:
    """Each loop has `tile` FMAs a step, or a multiple, over whole registers, and does not touch the stack."""
    assert loops
    register = "%zmm" if target.lanes == 16 else "%ymm"
    for body in loops:
        fmas = [line for line in body if "vfmadd" in line]
        assert len(fmas) % tile == 0
        assert all(register in line for line in fmas)
        assert not [line for line in body if "(%rsp" in line], "\n".join(body)


@pytest.mark.parametrize(
    ("target", "size"), [(resolve("sapphirerapids"), 56), (resolve("x86-64-v3"), 60)], ids=lambda value: str(value)[:24]
)
def test_the_products_of_winograd_stay_in_registers(target: Target, size: int) -> None:
    """A row of tiles is a multiple of the register tile, so that there is no remainder. The transforms have FMAs too,
    and more values than registers; the loops of products are those that broadcast elements of the transformed input."""
    graph = conv("3x3", (1, size, size, 64), (3, 3, 64, 64), padding="same", bias=True).graph()
    (group,) = kernel_groups(optimize(graph).grouped)
    choice = schedules.choose(unscheduled(group, target, False).func, target, exact=False)
    assert choice.rule.name == "winograd"
    columns = choice.knobs.columns
    assert size // 4 % columns == 0
    assembly = Kernels([graph], target, scheduled, bounded=False).module.inspect_source("asm")
    loops = [body for body in inner_loops(assembly) if sum(bool(BROADCAST.search(line)) for line in body) >= columns]
    check_loops(loops, columns * vars(choice.knobs)["vectors"], target)


def test_spills_are_seen() -> None:
    spilling = ".LBB0_1:\n\tvfmadd231ps\t%zmm1, %zmm2, %zmm3\n\tvmovups\t%zmm3, 64(%rsp)\n\tjne\t.LBB0_1\n"
    (body,) = inner_loops(f".LBB0_0:\n{spilling}\tjne\t.LBB0_0\n")
    assert len(body) == 4
    assert "(%rsp" in body[2]
