"""Pieces of C source: tables, strings, comments."""

from __future__ import annotations

import re
from collections.abc import Iterable


def array(declaration: str, rows: Iterable[str]) -> str:
    """The definition of a constant array, a row per line."""
    return f"const {declaration}[] = {{\n" + "".join(f"    {row},\n" for row in rows) + "};"


def commas(numbers: Iterable[int]) -> str:
    """The numbers as C lists them."""
    return ", ".join(map(str, numbers))


def string(text: str) -> str:
    """A C string literal in plain ASCII; '?' is escaped too, so that no trigraph arises."""
    escaped = (chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in text.encode())
    return f'"{"".join(escaped)}"'


def comment(text: str) -> str:
    """`text` in quotes, as it can stand in a C comment."""
    return "'" + re.sub(r"[^\x20-\x7e]|\*(?=/)|/(?=\*)|\\", "?", text)[:80] + "'"
