"""Compiled libraries to load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from convc.build.program import Program
from tests.build import kernels


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Program], Path]:
    """Links a program into a folder of its own."""
    objects = kernels.write_kernels(tmp_path_factory.mktemp("kernels") / "kernels.o")
    return lambda program: kernels.build(program, objects, tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="session")
def mixed(build: Callable[[Program], Path]) -> Path:
    return build(kernels.mixed())
