"""Writes docs/supported.md from the frontend's registries and the spaces that the generated grid draws from.

Run it as `python -m tests.tools.supported`.
"""

from __future__ import annotations

from pathlib import Path

from convc.frontends.keras import supported_functions, supported_layers
from tests.grid import ALL
from tests.grid.test_space import WITHOUT
from tests.support.onnx_nodes import by_operator, listed
from tests.zoo import MODELS

PAGE = Path(__file__).parents[2] / "docs" / "supported.md"

HEAD = """\
# What is supported

Written by `python -m tests.tools.supported` from the frontend's registry and from the cases that are compiled and
compared with Keras in every run of the tests; `tests/test_supported.py` keeps it current.

Models saved by Keras (`.keras`, `.h5`), their configs (`.json`, or a dict in Python) with weights beside them, and
lists of layers: Sequential and Functional, nested models, layers shared between calls, several inputs and outputs, of
Keras 3, 2 and 1 and of tf.keras. Computation is in float32 on a CPU and in one of four precisions on a GPU, with the
batch size bound at compile time. What is not here is refused by name: every such layer of a model is reported at once,
with what is nearest. A `Lambda` holds code and is always refused. Integer inputs of any width are int32 at the
interface; narrow ones must be cast before arithmetic.
The operators of ONNX stand at the end.

Whole networks of keras.applications that are compiled and compared with Keras: {networks}.

## Layers

Each value under "drawn" occurs in a case that is compiled and compared with Keras to a relative error of 1e-5 in every
run of the tests, together with values of the other arguments, on odd, even and tiny sizes, channels that fit no vector,
and batches of one to three; thousands more are drawn on demand. Regularizers, constraints, `trainable`, seeds and the
arguments of training are accepted everywhere and mean nothing at inference; initializers draw the weights of a model
that has none.

| layer | drawn | and |
|---|---|---|
"""

FUNCTIONS = """
## Functions of keras.ops

As they stand in Functional models, operators of Python among them.

| function | what of it |
|---|---|
"""

ONNX = """
## Operators of ONNX

Opsets 6 to the newest that the package onnx knows. Of the package's {all} node tests {passed} pass; each of the others
has its reason in `tests/coverage/onnx_nodes.txt`: data types that are not float32 or int32, sizes that depend on the
data, sequences, strings, control flow. An operator that the package defines by others is expanded. The tests that pass:

| operator | pass | of |
|---|---:|---:|
"""


def page() -> str:
    """The page as it should be."""
    rows = [_layer(name, note) for name, note in supported_layers().items()]
    functions = [_row(name, note or "as in Keras") for name, note in supported_functions().items()]
    head = HEAD.format(networks=", ".join(sorted(MODELS)))
    return head + "".join(rows) + FUNCTIONS + "".join(functions) + _onnx()


def _onnx() -> str:
    """The node tests of the package onnx, counted by operator, as the list of those that pass has them."""
    counts = by_operator(listed())
    passed, all_ = (sum(count[place] for count in counts.values()) for place in (0, 1))
    return ONNX.format(passed=passed, all=all_) + "".join(
        _row(name, *map(str, count)) for name, count in counts.items()
    )


def _layer(name: str, note: str) -> str:
    space = ALL.get(name)
    if space is None:
        return _row(name, WITHOUT.get(name, ""), note)
    drawn = [f"{key}: {', '.join(map(_text, values))}" for key, values in space.arguments.items()]
    refused = [f"{key}: refused, {why}" for key, why in space.refused.items()]
    return _row(name, "<br>".join(drawn) or "no arguments", "<br>".join([note, *refused]))


def _text(value: object) -> str:
    return f"`{value!r}`"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
