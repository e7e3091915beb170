"""Sound models with some bytes changed: whatever the damage, an error of convc comes out, or a graph."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from convc.errors import ConvcError
from convc.frontends.onnx import load
from tests.support.bounded import bounded  # noqa: F401
from tests.support.onnx_models import branch, model, node


def subjects() -> list[bytes]:
    """Sound models of various content."""
    shape = model(
        node("Shape", ["x"], ["s"]), node("Gather", ["s", "zero"], ["n"]), node("Concat", ["n", "m"], ["t"], axis=0),
        node("Reshape", ["x", "t"], ["y"]), inputs={"x": (2, 3, 4)}, constants={"zero": [0], "m": [-1]},
    )  # fmt: skip
    block = model(
        node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1], strides=[2, 2], group=2),
        node("Relu", ["c"], ["r"]),
        node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], auto_pad="SAME_UPPER"),
        node("Pad", ["p", "pads"], ["q"], mode="reflect"),
        node("Transpose", ["q"], ["t"], perm=[0, 2, 3, 1]),
        node("Slice", ["t", "one", "three", "one"], ["l"]),
        node("ReduceMean", ["l", "one"], ["m"], keepdims=0),
        node("Flatten", ["m"], ["f"]),
        node("Gemm", ["f", "g"], ["y"], alpha=0.5, transB=1),
        inputs={"x": ("N", 4, 8, 8)},
        constants={"w": np.ones((6, 2, 3, 3), np.float32), "b": np.ones(6, np.float32), "pads": [0, 0, 1, 1] * 2,
                   "one": [1], "three": [3], "g": np.ones((5, 36), np.float32)},
    )  # fmt: skip
    inner = onnx.helper.make_function(
        "local", "F", ["a"], ["b"], [node("Tile", ["a", "n"], ["b"])], [onnx.helper.make_opsetid("", 21)], []
    )
    inner.input.append("n")
    then = branch(node("Expand", ["f", "e"], ["z"]), outputs=["z"])
    control = model(
        node("F", ["x", "n"], ["f"], domain="local"),
        node("If", ["c"], ["y"], then_branch=then, else_branch=then),
        inputs={"x": (2, 1)}, functions=[inner],
        constants={"n": [1, 2], "e": [3, 2, 2], "c": np.array(True)},
    )  # fmt: skip
    return [made.SerializeToString() for made in (shape, block, control)]


@pytest.mark.parametrize("subject", range(3))
def test_flipped_bytes(subject: int) -> None:
    sound = subjects()[subject]
    load(sound)
    rng = np.random.default_rng(subject)
    refusals = 0
    for _ in range(300):
        data = bytearray(sound)
        for _ in range(int(rng.integers(1, 4))):
            place = int(rng.integers(len(data)))
            data[place] = int(rng.integers(256)) if rng.random() < 0.5 else data[place] ^ (1 << int(rng.integers(8)))
        problems = problems_of(bytes(data))
        refusals += bool(problems)
        assert all("\n" not in problem and len(problem) < 2000 for problem in problems)
    assert refusals > 30


def problems_of(data: bytes) -> list[str]:
    """What is wrong with a model, if anything."""
    try:
        load(data)
    except ConvcError as error:
        return [str(problem) for problem in error.problems]
    return []
