"""From a model file to answers, on the emulated device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import convc
from tests.cuda.emulator import FakeCuda

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits.keras"


@pytest.mark.parametrize("precision", ["float32", "tf32", "float16", "bfloat16"])
def test_digits(fake_cuda: FakeCuda, tmp_path: Path, precision: str) -> None:
    convc.compile(DIGITS, tmp_path / "host.so")
    convc.compile(DIGITS, tmp_path / "cuda.so", target="cuda:sm_80", precision=precision)
    x = np.random.default_rng(1).random((1, 8, 8, 1), np.float32)
    with convc.load(tmp_path / "host.so") as host, convc.load(tmp_path / "cuda.so", device="cuda") as device:
        want, got = host(x), device(x)
    error = np.linalg.norm(got - want) / np.linalg.norm(want)
    print(precision, error)
    assert error < 2e-2
