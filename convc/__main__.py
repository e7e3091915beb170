"""`python -m convc` is the command line."""

from __future__ import annotations

from convc.cli import main

main(prog_name="convc")
