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


LAYERS: dict[str, tuple[int, int, int, int, int, int]] = {
    # Window (rows, columns), size, channels, filters, stride: of the networks in the benchmarks.
    "resnet50 conv1": (7, 7, 224, 3, 64, 2),
    "resnet50 conv2 reduce": (1, 1, 56, 256, 64, 1),
    "resnet50 conv2 expand": (1, 1, 56, 64, 256, 1),
    "resnet50 conv3 shortcut": (1, 1, 56, 256, 512, 2),
    "resnet50 conv3 window": (3, 3, 28, 128, 128, 1),
    "resnet50 conv4 reduce": (1, 1, 14, 1024, 256, 1),
    "resnet50 conv4 expand": (1, 1, 14, 256, 1024, 1),
    "resnet50 conv4 shortcut": (1, 1, 28, 512, 1024, 2),
    "resnet50 conv4 window": (3, 3, 14, 256, 256, 1),
    "resnet50 conv5 reduce": (1, 1, 7, 2048, 512, 1),
    "resnet50 conv5 expand": (1, 1, 7, 512, 2048, 1),
    "resnet50 conv5 shortcut": (1, 1, 14, 1024, 2048, 2),
    "resnet50 conv5 window": (3, 3, 7, 512, 512, 1),
    "vgg16 block1": (3, 3, 224, 3, 64, 1),
    "mobilenetv2 conv1": (3, 3, 224, 3, 32, 2),
    "mobilenetv2 expand 2": (1, 1, 56, 24, 144, 1),
    "mobilenetv2 project 1": (1, 1, 112, 32, 16, 1),
    "mobilenetv2 project 2": (1, 1, 56, 144, 24, 1),
    "mobilenetv2 project 7": (1, 1, 14, 384, 96, 1),
    "mobilenetv2 project 16": (1, 1, 7, 960, 320, 1),
    "mobilenetv3small project": (1, 1, 28, 88, 24, 1),
    "mobilenetv3small expand": (1, 1, 14, 40, 120, 1),
    "efficientnetb0 project 4": (1, 1, 28, 240, 40, 1),
    "densenet121 bottleneck": (1, 1, 28, 288, 128, 1),
    "densenet121 growth": (3, 3, 7, 128, 32, 1),
    "densenet121 transition": (1, 1, 14, 1024, 512, 1),
    "inceptionv3 1x7": (1, 7, 17, 128, 128, 1),
    "inceptionv3 7x1": (7, 1, 17, 192, 192, 1),
    "inceptionv3 mixed7": (1, 1, 17, 768, 192, 1),
    "inceptionv3 mixed10": (1, 1, 8, 2048, 448, 1),
    "inceptionv3 conv4": (1, 1, 73, 64, 80, 1),
    "inceptionv3 stride": (3, 3, 35, 288, 384, 2),
    "xception middle": (1, 1, 19, 728, 728, 1),
    "xception block2": (1, 1, 147, 64, 128, 1),
    "xception shortcut": (1, 1, 74, 128, 256, 2),
}


TARGETS = ("znver4", "sapphirerapids", "x86-64-v3")

SPILLING = {("x86-64-v3", "vgg16 block1"), ("x86-64-v3", "mobilenetv2 conv1")}
"""LLVM unrolls a sum over three channels, and 16 registers do not hold all of its operands."""


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("target_name", TARGETS)
def test_the_register_tile_stays_in_registers(request: pytest.FixtureRequest, target_name: str, name: str) -> None:
    if (target_name, name) in SPILLING:
        request.applymarker(pytest.mark.xfail(reason="three channels", raises=AssertionError, strict=True))
    target = resolve(target_name)
    high, wide, size, channels, filters, stride = LAYERS[name]
    window = (high, wide, channels, filters)
    graph = conv(name, (1, size, size, channels), window, strides=stride, padding="same", bias=True).graph()
    (group,) = kernel_groups(optimize(graph).grouped)
    knobs = schedules.choose(unscheduled(group, target, False).func, target, exact=True).knobs
    tile = prod((knobs.rows, knobs.columns, vars(knobs)["vectors"]))
    assert tile >= 5, "a tile this small leaves the units idle"
    assembly = Kernels([graph], target, partial(scheduled, exact=True), bounded=False).module.inspect_source("asm")
    check_loops(inner_loops(assembly), tile, knobs.lanes or target.lanes)


def check_loops(loops: list[list[str]], tile: int, lanes: int) -> None:
    """One loop has `tile` FMAs a step, or a multiple; all are over whole registers and do not touch the stack."""
    counts = [sum("vfmadd" in line for line in body) for body in loops]
    assert any(count > 0 and count % tile == 0 for count in counts)
    register = "%zmm" if lanes == 16 else "%ymm"
    for body in loops:
        fmas = [line for line in body if "vfmadd" in line]
        assert all(register in line for line in fmas)
        assert not [line for line in body if "(%rsp" in line], "\n".join(body)


@pytest.mark.parametrize(
    ("target", "size"), [(resolve("sapphirerapids"), 56), (resolve("x86-64-v3"), 60)], ids=lambda value: str(value)[:24]
)
def test_the_products_of_winograd_stay_in_registers(target: Target, size: int) -> None:
    """The transforms have FMAs too, and more values than registers; the loops of products are those that broadcast
    elements of the transformed input."""
    graph = conv("3x3", (1, size, size, 64), (3, 3, 64, 64), padding="same", bias=True).graph()
    (group,) = kernel_groups(optimize(graph).grouped)
    choice = schedules.choose(unscheduled(group, target, False).func, target, exact=False)
    assert choice.rule.name == "winograd"
    columns = choice.knobs.columns
    assembly = Kernels([graph], target, scheduled, bounded=False).module.inspect_source("asm")
    loops = [body for body in inner_loops(assembly) if sum(bool(BROADCAST.search(line)) for line in body) >= columns]
    check_loops(loops, columns * vars(choice.knobs)["vectors"], target.lanes)


def test_spills_are_seen() -> None:
    spilling = ".LBB0_1:\n\tvfmadd231ps\t%zmm1, %zmm2, %zmm3\n\tvmovups\t%zmm3, 64(%rsp)\n\tjne\t.LBB0_1\n"
    (body,) = inner_loops(f".LBB0_0:\n{spilling}\tjne\t.LBB0_0\n")
    assert len(body) == 4
    assert "(%rsp" in body[2]
