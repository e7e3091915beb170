"""Proposes tests/coverage/onnx_nodes.txt: runs all node tests of the package onnx, and writes which of them pass.

Run it as `python -m tests.tools.onnx_nodes`, with `--check` to see what would change. The list only grows: where a test
that is listed as passing does not, nothing is written. It takes some minutes.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from convc import target as targets
from convc.errors import ConvcError
from tests.support.onnx import NodeTest, answers, node_test, suite
from tests.support.onnx_nodes import PAGE, PART, listed

HEAD = """\
# The node tests of the package onnx: one line each, with a reason where a test does not pass. Written by
# `python -m tests.tools.onnx_nodes`; the list of those that pass only grows (tests/frontends/onnx/test_nodes.py).
"""

OPERATORS = {
    "data types": ("BitCast",),
    "dynamic sizes": ("Compress", "NonMaxSuppression", "NonZero", "Unique", "Range"),
    "random": ("Bernoulli", "RandomNormal", "RandomUniform", "Multinomial"),
    "training": ("Adagrad", "Adam", "Gradient", "Momentum"),
    "control flow": ("If", "Loop", "Scan", "SequenceMap"),
    "sequences": ("Sequence", "SplitToSequence", "ConcatFromSequence", "Optional"),
    "strings": ("String", "RegexFullMatch", "TfIdfVectorizer"),
    "loss functions": ("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"),
    "signal processing": ("BlackmanWindow", "HammingWindow", "HannWindow", "DFT", "STFT", "MelWeightMatrix"),
    "recurrent networks": ("GRU", "LSTM", "RNN"),
    "language models": (
        "Attention", "FlexAttention", "LinearAttention", "RotaryEmbedding", "CausalConvWithState", "TensorScatter",
    ),
    "reading images": ("ImageDecoder",),
    "classical machine learning": ("ArrayFeatureExtractor", "Binarizer", "LabelEncoder", "TreeEnsemble"),
}  # fmt: skip
"""Reasons by the operator that is at fault."""

MESSAGES = (
    ("STRING", "strings"),
    ("sequence_type", "sequences"),
    ("optional_type", "sequences"),
    ("control flow", "control flow"),
    ("the condition is computed", "control flow"),
    ("preview.training", "training"),
    ("ai.onnx.ml", "classical machine learning"),
    ("depends on the data", "dynamic sizes"),
    ("type is not supported", "data types"),
    ("FLOAT8", "data types"),
    ("INT4", "data types"),
    ("without elements", "empty tensors"),
    ("training mode", "training"),
)
"""Reasons by what the error says."""


def reason(error: ConvcError) -> str:
    """Why a test does not pass, in a few words."""
    text = str(error)
    at_fault = next((p.subject.rpartition("(")[2].rstrip(")") for p in error.problems if "(" in p.subject), "")
    for message, why in MESSAGES:
        if message in text:
            return why
    for why, names in OPERATORS.items():
        if at_fault.startswith(names):
            return why
    if "this operator is not supported" in text:
        return f"{at_fault} is not supported"
    message = error.problems[0].message
    return f"{at_fault}: {message}"[:60] if at_fault else message[:60]


def propose() -> dict[str, str]:
    """The reason for each test, "" for those that pass."""
    result: dict[str, str] = {}
    tests: list[NodeTest] = []
    for name in sorted(suite()):
        try:
            tests.append(node_test(name))
            result[name] = ""
        except ConvcError as error:
            result[name] = reason(error)
    with tempfile.TemporaryDirectory() as folder:
        for start in range(0, len(tests), PART):
            for test, problem in _wrong(tests[start : start + PART], Path(folder)):
                result[test.name] = problem
            print(f"{min(start + PART, len(tests))} of {len(tests)} compiled", file=sys.stderr)
    return result


def _wrong(tests: Sequence[NodeTest], folder: Path) -> list[tuple[NodeTest, str]]:
    """What does not pass of the tests; where they cannot be compiled together, halves of them are tried."""
    try:
        got = answers(tests, targets.resolve("native"), folder)
    except Exception as error:  # a tool: whatever is wrong is what it reports
        if len(tests) == 1:
            return [(tests[0], f"WRONG {type(error).__name__}: {str(error).splitlines()[0][:100]}")]
        middle = len(tests) // 2
        return _wrong(tests[:middle], folder) + _wrong(tests[middle:], folder)
    problems = [(test, test.problem(got[test.name])) for test in tests]
    return [(test, f"WRONG {problem}") for test, problem in problems if problem]


def main(arguments: Sequence[str]) -> int:
    """Writes the list, unless it would shrink."""
    old, new = (listed() if PAGE.exists() else {}), propose()
    lost = [name for name, why in new.items() if why and not old.get(name, why)]
    gained = [name for name, why in new.items() if not why and old.get(name, "new")]
    for name in lost:
        print(f"lost: {name}: {new[name]}")
    for name in [name for name, why in new.items() if why.startswith("WRONG")]:
        print(f"wrong: {name}: {new[name]}")
    print(f"gained {len(gained)}: {' '.join(gained)}")
    passed = sum(not why for why in new.values())
    supported = sum(not why or why.startswith("WRONG") for why in new.values())
    print(f"{passed} passed / {supported} supported / {len(new)} all")
    for why, count in Counter(why for why in new.values() if why).most_common():
        print(f"{count:5} {why}")
    if lost:
        return 1
    if "--check" not in arguments:
        PAGE.write_text(HEAD + "".join(f"{name}: {why}\n" if why else f"{name}\n" for name, why in new.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
