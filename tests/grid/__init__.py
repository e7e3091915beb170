"""The spaces of all layers, by name. A module of this folder that has `SPACES` is found by itself."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from tests.grid.space import Space

ALL: dict[str, Space] = {}
for _path in sorted(Path(__file__).parent.glob("*.py")):
    if _path.stem != "__init__" and not _path.stem.startswith("test_"):
        for _space in getattr(import_module(f"tests.grid.{_path.stem}"), "SPACES", ()):
            assert _space.layer not in ALL, f"{_space.layer} has two spaces"
            ALL[_space.layer] = _space
