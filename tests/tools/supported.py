"""Writes docs/supported.md from what the frontend has registered: `python -m tests.tools.supported`."""

from __future__ import annotations

from pathlib import Path

from convc.frontends.keras import supported_layers

PAGE = Path(__file__).parent.parent.parent / "docs" / "supported.md"

HEAD = """\
# What is supported

Written by `python -m tests.tools.supported` from the frontend's registry; `tests/test_supported.py` keeps it current.

Models saved by Keras 3 (`.keras`), their configs (`.json`, or a dict in Python), and lists of layers: Sequential and
Functional, nested models, layers shared between calls, several inputs and outputs. Computation is in float32 on the
CPU, with the batch size bound at compile time. What is not in the table is refused by name: every such layer of a model
is reported at once, with what is nearest. A `Lambda` holds code and is always refused. ONNX is not supported yet.

| Keras layer | what of it |
|---|---|
"""


def page() -> str:
    """The page as it should be."""
    rows = ((name, note.replace("|", r"\|")) for name, note in supported_layers().items())
    return HEAD + "".join(f"| {name} | {note} |\n" for name, note in rows)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
