"""The page of supported layers says what the code supports."""

from __future__ import annotations

from convc.frontends.keras import supported_functions, supported_layers
from tests.tools.supported import PAGE, page


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.tools.supported"


def test_every_layer_and_function_is_a_row_of_one_line() -> None:
    keras, onnx = page().split("## Operators of ONNX")
    rows = [line for line in keras.splitlines() if line.startswith("| ")]
    assert len(rows) == len(supported_layers()) + len(supported_functions()) + 2
    assert all(row.replace(r"\|", "").count("|") in (3, 4) for row in rows)
    assert "| Conv | 6 | 6 |" in onnx.splitlines()
