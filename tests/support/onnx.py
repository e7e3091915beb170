"""The node tests of the package onnx, as graphs with feeds and expected answers."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from convc.build.emit import emit
from convc.frontends.onnx import load
from convc.ir import Array, Graph
from convc.passes import optimize
from convc.runtime import load as load_library
from convc.target import Target
from tests.support.kernels import renamed

BFLOAT16_RTOL = 2**-6
"""Two units of the last place: what the package's own runner grants."""


@dataclass(frozen=True, eq=False)
class NodeTest:
    """A test's graph with one set of data. `wanted` is by output name; tolerances are the suite's own."""

    name: str
    graph: Graph
    feeds: Mapping[str, Array]
    wanted: Mapping[str, Array]
    rtol: float
    atol: float

    def problem(self, answers: Mapping[str, Array]) -> str | None:
        """What is wrong with the answers, if anything."""
        for name, wanted in self.wanted.items():
            with np.errstate(all="ignore"):
                if wanted.dtype == np.float64:  # it is computed in float32, which some of the data exceed
                    wanted = wanted.astype(np.float32)
                got = answers[name].astype(wanted.dtype)
            if got.shape != wanted.shape:
                return f"{self.name}: {name} has the shape {got.shape} instead of {wanted.shape}"
            rtol = max(self.rtol, BFLOAT16_RTOL) if wanted.dtype.name == "bfloat16" else self.rtol
            a, b = (np.asarray(value, np.float64) for value in (got, wanted))
            if not np.allclose(a, b, rtol, self.atol, equal_nan=True):
                with np.errstate(all="ignore"):
                    return f"{self.name}: {name} differs by up to {np.nanmax(np.abs(a - b)):.3g}"
        return None


@cache
def suite() -> dict[str, Any]:
    """The package's node tests by name."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        return {test.name: test for test in load_model_tests(kind="node")}


def node_test(name: str) -> NodeTest:
    """The test, parsed. Raises `ConvcError`."""
    test = suite()[name]
    inputs, outputs = test.data_sets[0]
    return of_model(name, test.model, inputs, outputs, test.rtol, test.atol)


def of_model(
    name: str, model: onnx.ModelProto, inputs: Sequence[Any], outputs: Sequence[Any], rtol: float, atol: float
) -> NodeTest:
    """A model with data. Inputs that stand for constants are bound to the data. Raises `ConvcError`."""
    initial = {item.name for item in model.graph.initializer}
    names = [item.name for item in model.graph.input if item.name not in initial]
    values = {key: plain(value) for key, value in zip(names, inputs, strict=False)}
    bound = {key: value for key, value in values.items() if value.dtype.kind in "iufb"}
    shapes = {key: value.shape for key, value in bound.items()}
    graph = load(model, bound=bound, input_shapes=shapes)
    with np.errstate(all="ignore"):
        feeds = {node.name: np.asarray(values[node.name], node.type.dtype.numpy, order="C") for node in graph.inputs}
    wanted = {key: plain(value) for key, value in zip(graph.output_names, outputs, strict=True)}
    return NodeTest(name, graph, feeds, wanted, rtol, atol)


def plain(value: Any) -> Array:
    """Data of the suite as an array; lists and strings become arrays of objects."""
    if isinstance(value, onnx.TensorProto):
        array: Array = onnx.numpy_helper.to_array(value)
        return array
    return np.asarray(value, object) if isinstance(value, (list, str)) or value is None else np.asarray(value)


def answers(tests: Sequence[NodeTest], target: Target, folder: Path) -> dict[str, dict[str, Array]]:
    """The compiled answers of tests that are compiled side by side, by test and output name."""
    graphs = [renamed(test.graph, f"{test.name}/") for test in tests]
    whole = Graph(
        "nodes",
        tuple(node for graph in graphs for node in graph.inputs),
        tuple(node for graph in graphs for node in graph.outputs),
        tuple(name for graph in graphs for name in graph.output_names),
    )
    library = folder / "nodes.so"
    emit(optimize(whole).grouped, target=target, output=library, header=None, exact=False, progress=lambda *_: None)
    feeds = {f"{test.name}/{name}": value for test in tests for name, value in test.feeds.items()}
    with load_library(library) as module:
        got = module.run(feeds)
    return {test.name: {name: got[f"{test.name}/{name}"] for name in test.wanted} for test in tests}
