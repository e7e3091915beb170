"""The command line: one file per command, imported when it is called for."""

from __future__ import annotations

if __name__ != "convc.cli":
    raise ImportError("import convc.cli: the folder 'cli' is not a package of its own")

from convc.cli.group import main

__all__ = ["main"]
