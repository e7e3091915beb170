"""Fixtures that put the emulator in nvcc's and the driver's place."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from convc.build import nvcc
from tests.cuda import emulator


@pytest.fixture
def emulated() -> None:
    """Skips where kernels cannot be emulated."""
    if reason := emulator.missing():
        pytest.skip(reason)


@pytest.fixture
def fake_cuda(emulated: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[emulator.FakeCuda]:
    """The fake driver, as if just started; what is built for CUDA in the test runs on it."""
    monkeypatch.setattr(nvcc, "fatbin", emulator.emulated_fatbin)
    cuda = emulator.fake()
    gc.collect()  # what earlier tests left must not free what is not its own any more
    cuda.reset()
    yield cuda
    gc.collect()
    cuda.reset()
