"""One op, one stem: each stem of convc/ops exists in every stage, or the reason why not is written here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

ROOT = Path(__file__).parent.parent

STAGES: Final = ("convc/ops", "convc/lower", "schedules/cpu", "frontends/keras", "tests/cases")

NOT_OPS: Final = {
    "check": "what several ops check about their inputs",
    "evaluate": "runs a whole graph on the references",
    "source": "inputs and constants compute nothing",
    "window": "sizes and views that convolution and pooling share",
}
"""Modules of convc/ops that are no op's stem, and what they are."""

_BY_CONTRACTION = "a product of matrices is a 1x1 convolution: schedules/cpu/conv.py"
_BY_ELEMENTWISE = "one block without reduction: schedules/cpu/elementwise.py"

REASONS: Final[dict[tuple[str, str], str]] = {
    ("convc/lower", "batch_norm"): "the passes leave none: folded into weights, else a product and a sum",
    ("convc/lower", "conv_transpose"): "the passes leave none: a convolution, then a DepthToSpace",
    ("frontends/keras", "depth_to_space"): "the passes make it: no layer is one",
    ("schedules/cpu", "activation"): _BY_ELEMENTWISE,
    ("schedules/cpu", "arithmetic"): _BY_ELEMENTWISE,
    ("schedules/cpu", "batch_norm"): "the passes leave none, so none is lowered",
    ("schedules/cpu", "broadcast"): _BY_ELEMENTWISE,
    ("schedules/cpu", "cast"): _BY_ELEMENTWISE,
    ("schedules/cpu", "concat"): _BY_ELEMENTWISE,
    ("schedules/cpu", "conv_transpose"): "the passes leave none, so none is lowered",
    ("schedules/cpu", "dense"): _BY_CONTRACTION,
    ("schedules/cpu", "depth_to_space"): _BY_ELEMENTWISE,
    ("frontends/keras", "integer"): "Keras has the same functions for both: frontends/keras/arithmetic.py",
    ("schedules/cpu", "integer"): _BY_ELEMENTWISE,
    ("frontends/keras", "top_k"): "no layer and no function that is read is one",
    ("schedules/cpu", "logic"): _BY_ELEMENTWISE,
    ("schedules/cpu", "pad"): _BY_ELEMENTWISE,
    ("schedules/cpu", "pool"): "windows without weights slide as a depthwise convolution's: schedules/cpu/window.py",
    ("schedules/cpu", "shape"): _BY_ELEMENTWISE,
    ("schedules/cpu", "unary"): _BY_ELEMENTWISE,
    ("schedules/cpu", "slice"): _BY_ELEMENTWISE,
    ("schedules/cpu", "take"): _BY_ELEMENTWISE,
}
"""(stage, stem) to why that stage has no such file."""


def _stems(folder: str) -> set[str]:
    return {path.stem for path in (ROOT / folder).glob("*.py")}


STEMS: Final = sorted(_stems("convc/ops") - {"__init__"} - set(NOT_OPS))


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("stem", STEMS)
def test_stem_is_in_every_stage(stem: str, stage: str) -> None:
    exists, reason = stem in _stems(stage), REASONS.get((stage, stem))
    if exists:
        assert reason is None, f"{stage}/{stem}.py exists, so it needs no reason: {reason!r}"
    else:
        assert reason, f"{stage}/{stem}.py is missing, and no reason is written in REASONS"


def test_reasons_are_about_stems_and_stages() -> None:
    assert {stage for stage, _ in REASONS} <= set(STAGES)
    assert {stem for _, stem in REASONS} <= set(STEMS)
    assert set(NOT_OPS) <= _stems("convc/ops")


def test_every_op_class_is_exported_and_has_a_case() -> None:
    from convc import ops
    from convc.ir import Op
    from tests.cases import ALL

    covered = {type(case.op) for cases in ALL.values() for case in cases}
    for stem in STEMS:
        text = (ROOT / "convc/ops" / f"{stem}.py").read_text(encoding="utf-8")
        for name in re.findall(r"^class (\w+)", text, re.MULTILINE):
            op = getattr(ops, name)
            assert issubclass(op, Op)
            assert op in covered or op.__subclasses__(), f"{stem}.py: {name} has no case"


def test_every_stem_has_cases() -> None:
    from tests.cases import ALL

    assert sorted(ALL) == STEMS
    assert all(ALL.values())
