"""The kernels' object file, compiled once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.build import kernels


@pytest.fixture(scope="session")
def kernels_object(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kernels.write_kernels(tmp_path_factory.mktemp("kernels") / "kernels.o")
