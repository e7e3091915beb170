"""What git and the wheel hold. The wheel itself is built and installed by .ci/run."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

import convc

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", ["frontends", "schedules", "cli"])
def test_the_top_folders_are_linked_into_the_package(name: str) -> None:
    link = ROOT / "convc" / name
    assert link.is_symlink()
    assert os.readlink(link) == f"../{name}"
    assert link.resolve() == ROOT / name


def test_every_module_lies_in_a_package() -> None:
    for folder in ("convc", "frontends", "schedules", "cli"):
        for path in (ROOT / folder).rglob("*.py"):
            assert (path.parent / "__init__.py").exists(), path


def test_the_version_is_in_the_changelog() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", convc.__version__)
    assert f"## {convc.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
