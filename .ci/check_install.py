"""Fails unless the installed convc brought one importable top-level package, `convc`, and imports from there."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from pathlib import Path

files = importlib.metadata.files("convc") or []
brought = {file.parts[0] for file in files if file.parts[0] != ".."}
foreign = sorted(name for name in brought if name != "convc" and not name.endswith(".dist-info"))
if "convc" not in brought or foreign:
    sys.exit(f"the wheel brought {sorted(brought)}; expected convc and its .dist-info only")

importable = [name for name in ("frontends", "schedules", "cli", "tests") if importlib.util.find_spec(name)]
if importable:
    sys.exit(f"importable beside convc: {', '.join(importable)}")

for name in ("convc.api", "convc.cli", "convc.frontends", "convc.schedules", "convc.runtime"):
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None or not Path(spec.origin).is_relative_to(sys.prefix):
        sys.exit(f"{name} does not come from the installed wheel: {spec}")
print("only convc is importable")
