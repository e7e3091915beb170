"""A compiled library to read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.build import kernels


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artifact")
    return kernels.build(kernels.mixed(), kernels.write_kernels(folder / "kernels.o"), folder)
