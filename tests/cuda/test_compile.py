"""nvcc takes the kernels of every stem, and keeps what they compute with in registers."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from convc.build import nvcc
from convc.errors import TargetError
from convc.precision import Precision
from tests.cuda.device_kernels import DeviceKernels, narrowable
from tests.cuda.test_cases import target
from tests.support.kernels import PARTS, Subject

EACH = 3
"""Subjects of a stem in the default run, spread over its cases."""
SPILLED = 16
"""Bytes that a kernel may keep in local memory where its block has so many threads that registers are few."""


@pytest.fixture(scope="module")
def compiler() -> str:
    try:
        return nvcc.find()
    except TargetError as error:
        pytest.skip(str(error))


def stems() -> dict[str, list[Subject]]:
    """All subjects by stem."""
    found: dict[str, list[Subject]] = {}
    for part, subjects in PARTS.items():
        found.setdefault(part.rpartition("-")[0], []).extend(subjects)
    return found


def spread(subjects: Sequence[Subject]) -> Iterable[Subject]:
    """`EACH` of them, or all."""
    return subjects[:: -(-len(subjects) // EACH)]


def check(compiler: str, subjects: Iterable[Subject], folder: Path, precision: Precision = Precision.FLOAT32) -> None:
    """Compiles the kernels in one run of nvcc, since it takes longer to start than to compile a kernel."""
    kernels = DeviceKernels([subject.graph for subject in subjects], target(), precision)
    (folder / "kernels.cu").write_text(kernels.source, encoding="ascii")
    codes = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in target().architectures]
    # Constants that are no exact numbers (1046) are the nearest ones; for 177 and 550 see convc.build.nvcc.
    flags = ["-fatbin", "-std=c++17", "-O3", "--threads=0", "-diag-suppress=177,550,1046", "-Xptxas=-v"]
    result = subprocess.run(
        [compiler, *flags, *codes, "-o", "kernels.fatbin", "kernels.cu"],
        cwd=folder,
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert "warning" not in result.stderr
    found = re.findall(
        r"Compiling entry function '(\w+)' for '(\w+)'\n.*\n\s*(\d+) bytes stack frame, (\d+) bytes spill stores",
        result.stderr,
    )
    assert len(found) >= len(kernels.functions) * len(codes)
    frames = [(kernel, code, int(frame)) for kernel, code, frame, _ in found if int(frame) > SPILLED]
    assert not frames


def sample(subjects: Iterable[Sequence[Subject]]) -> list[Subject]:
    """Some of each stem."""
    return [subject for of_stem in subjects for subject in spread(of_stem)]


def test_a_sample_of_every_stem(compiler: str, tmp_path: Path) -> None:
    check(compiler, sample(stems().values()), tmp_path)


@pytest.mark.parametrize("precision", [Precision.FLOAT16, Precision.BFLOAT16], ids=lambda precision: precision.value)
def test_a_sample_of_every_stem_in_16_bits(compiler: str, tmp_path: Path, precision: Precision) -> None:
    fitting = [[subject for subject in subjects if narrowable(subject.graph)] for subjects in stems().values()]
    check(compiler, sample(subjects for subjects in fitting if subjects), tmp_path, precision)


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_all_cases(compiler: str, part: str, tmp_path: Path) -> None:
    check(compiler, PARTS[part], tmp_path)
