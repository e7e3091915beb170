"""Every tile compiles for GPUs, and its sums stay in registers."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from convc import ops
from convc.build import nvcc
from convc.build.device import generate
from convc.errors import TargetError
from convc.ir import Graph, Shape
from convc.precision import Precision
from convc.schedules.cuda.gemm_tiles import Cut
from tests.cuda.gemm_support import Builder, Compiled, Subject, target_for

CHANNELS = {Precision.FLOAT32: (64, 3), Precision.TF32: (64, 6), Precision.FLOAT16: (64, 4), Precision.BFLOAT16: (64,)}
"""Copied 16 bytes at a time, and in the smallest pieces that there are."""


def layer(precision: Precision, shape: Shape, filters: int) -> Subject:
    """A convolution with a residual and ReLU."""
    b = Builder(precision, 0)
    x = b.input(*shape)
    y = b.apply(ops.Conv((1, 1), ((1, 1), (1, 1)), (1, 1)), x, b.weights(3, 3, shape[-1], filters), b.weights(filters))
    y = b.apply(ops.Relu(), b.apply(ops.Add(), y, b.input(*y.type.shape)))
    return Subject(Graph("net", tuple(b.inputs), (y,), ("y",)), b.feeds, precision)


@pytest.fixture(scope="module")
def compiler() -> str:
    try:
        return nvcc.find()
    except TargetError as error:
        pytest.skip(str(error))


def product(precision: Precision, depth: int, columns: int, *, transposed: bool) -> Subject:
    """Scores of attention, or what they weigh."""
    b = Builder(precision, 0)
    op = ops.MatMul((0, 1, 3), (0, 2, 3) if transposed else (0, 3, 2), (0, 1, 2))
    right = b.input(2, columns, depth) if transposed else b.input(2, depth, columns)
    y = b.apply(op, b.input(2, 197, depth), right)
    return Subject(Graph("net", tuple(b.inputs), (y,), ("y",)), b.feeds, precision)


def subjects() -> dict[str, Subject]:
    """By a name for each."""
    found = {
        f"conv_{precision.value}_{depth}": layer(precision, (2, 57, 55, depth), 200)
        for precision, channels in CHANNELS.items()
        for depth in channels
    }
    for precision in (Precision.FLOAT32, Precision.TF32, Precision.FLOAT16):
        found[f"scores_{precision.value}"] = product(precision, 64, 200, transposed=True)
        found[f"odd_{precision.value}"] = product(precision, 197, 61, transposed=False)
    return found


def test_no_spills(compiler: str, tmp_path: Path) -> None:
    """In one run of nvcc, since it takes longer to start than to compile a kernel."""
    functions = {}
    for name, subject in subjects().items():
        for number, tile in enumerate(Compiled(subject).tiles):
            splits = 3 if number == 1 and name.startswith("conv") else 1
            functions[f"{name}_{number}"] = Compiled(subject, Cut(tile, splits)).scheduled
    source, _ = generate(functions, target_for(Precision.FLOAT32))
    (tmp_path / "kernels.cu").write_text(source, encoding="ascii")
    codes = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in (80, 90)]
    flags = ["-fatbin", "-std=c++17", "-O3", "--threads=0", "-diag-suppress=177,550", "-Xptxas=-v"]
    result = subprocess.run(
        [compiler, *flags, *codes, "-o", "kernels.fatbin", "kernels.cu"],
        cwd=tmp_path,
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert "warning" not in result.stderr
    found = re.findall(r"Compiling entry function '(\w+)' for '(\w+)'\n.*\n\s*(\d+) bytes stack frame", result.stderr)
    assert len(found) >= 2 * len(functions)
    assert not [(kernel, code, frame) for kernel, code, frame in found if frame != "0"]
