"""A fixture for modules whose tests bound what is taken of time and memory: import it to use it."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator

import pytest

SECONDS = 2.0
MEMORY = 256 << 20
"""Bytes by which the largest use of memory may grow."""


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """Each test takes little time, and little memory at its peak."""
    started, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert time.process_time() - started < SECONDS
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MEMORY
