"""onnxruntime as the judge of ONNX models: the graph's references, or the compiled library, must agree with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator

import convc
from convc import ops
from convc.frontends.onnx import load
from convc.ir import Array, Graph
from tests.tolerances import assert_close

Judge = Callable[[onnx.ModelProto, Mapping[str, Array]], Sequence[Array]]


def judged(made: onnx.ModelProto, feeds: Mapping[str, Array]) -> Sequence[Array]:
    """onnxruntime's answers, without its own rewriting."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    answers: Sequence[Array] = session.run(None, dict(feeds))
    return answers


def by_reference(made: onnx.ModelProto, feeds: Mapping[str, Array]) -> Sequence[Array]:
    """The answers of the package's reference."""
    answers: Any = ReferenceEvaluator(made).run(None, dict(feeds))
    return list(answers)


def assert_agrees(made: onnx.ModelProto, feeds: Mapping[str, Array], judge: Judge = judged) -> Graph:
    """Compares all outputs of the graph, by the references, with the judge's; integers must be equal."""
    parsed = load(made)
    given = {node.name: np.asarray(feeds[node.name], node.type.dtype.numpy) for node in parsed.inputs}
    got = ops.evaluate(parsed, given)
    for node, want in zip(parsed.outputs, judge(made, feeds), strict=True):
        _compare(np.asarray(got[node]), want)
    return parsed


def assert_compiled(made: onnx.ModelProto, feeds: Mapping[str, Array], folder: Path) -> None:
    """The same of the compiled library."""
    library = folder / "it.so"
    convc.compile(made, library)
    with convc.load(library) as module:
        given = {spec.name: np.asarray(feeds[spec.name], spec.dtype) for spec in module.inputs}
        got = module.run(given)
    for item, want in zip(made.graph.output, judged(made, feeds), strict=True):
        _compare(got[item.name], want)


def _compare(got: Array, want: Array) -> None:
    assert got.shape == want.shape
    if want.dtype.kind in "iub":
        np.testing.assert_array_equal(got.astype(np.int64), want.astype(np.int64))
    else:
        assert_close(got, want, "float32")
