"""A fixture for modules whose programs run once each, so that jax need not optimise them: import it to use it."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(scope="module", autouse=True)
def quick_programs() -> Iterator[None]:
    """jax compiles a program in a third of the time."""
    jax.config.update("jax_disable_most_optimizations", True)  # type: ignore[no-untyped-call]
    yield
    jax.config.update("jax_disable_most_optimizations", False)  # type: ignore[no-untyped-call]
