"""What the peers are given computes what convc's references do, on every case."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest

from benchmarks.onnx_export import WRITERS, channels_first, export
from convc.errors import UnsupportedError
from convc.ir import Array, Graph
from convc.ops import Add, BatchNorm, Conv, Log, Multiply, Relu, Softmax, Standardize, evaluate
from convc.passes import optimize
from tests.cases import ALL, fused
from tests.cases.case import Case, case
from tests.tolerances import assert_close, relative_error

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime judges the export: pip install 'convc[dev]'")


def run(path: Path, inputs: Mapping[str, Array]) -> list[Array]:
    """onnxruntime's answers, in its order of axes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # it warns of constants that it folds to infinity
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feeds = {
        port.name: channels_first(value) for port, value in zip(session.get_inputs(), inputs.values(), strict=True)
    }
    answers: list[Array] = session.run(None, feeds)
    return answers


def optimized(graph: Graph) -> Graph:
    return optimize(graph).grouped.graph


def answers(graph: Graph, inputs: Mapping[str, Array], folder: Path) -> list[Array]:
    """onnxruntime's answers to the optimised graph, exported."""
    path = folder / "model.onnx"
    export(optimized(graph), path)
    return run(path, inputs)


def wanted(graph: Graph, inputs: Mapping[str, Array]) -> list[Array]:
    """The references' answers, in the export's order of axes."""
    values = evaluate(graph, inputs)
    return [channels_first(values[node]) for node in graph.outputs]


def is_refused(case: Case) -> bool:
    """Whether it is not written: no measured network has it, or ONNX has no op for it."""
    op = case.op
    if type(op) not in WRITERS and not isinstance(op, BatchNorm):
        return True
    match op:
        case Relu():
            return bool(op.threshold or (op.negative_slope and op.max_value is not None))
        case Softmax():
            return len(op.axes) > 1
        case Standardize():
            last = case.input_types[0].rank - 1
            return op.axes != (last,) or op.groups > 1 or not op.centered
    return False


INEXACT = ("elu_small", "elu_alpha_small", "selu_small")
"""Near zero onnxruntime takes exp(x) - 1 and loses digits."""

CASES = [
    pytest.param(case, id=f"{stem}-{case.name}")
    for stem, cases in ALL.items()
    for case in cases
    if case.name not in INEXACT and not is_refused(case) and not (stem == "dense" and case.input_types[0].rank < 2)
]


@pytest.mark.parametrize("case", CASES)
def test_an_op_is_exported(case: Case, tmp_path: Path) -> None:
    graph, inputs = case.graph(), case.feeds()
    (got,), (want,) = answers(graph, inputs, tmp_path), wanted(graph, inputs)
    assert got.shape == want.shape
    assert_close(got, want)


NOT_WRITTEN = (
    "group_norm", "norm_channels_first", "norm_of_everything", "resample_add_relu", "resample_max_and_sum",
    "sums_with_an_epilogue",
)  # fmt: skip
"""Recipes with an op that no measured network has."""


@pytest.mark.parametrize("recipe", NOT_WRITTEN)
def test_a_graph_that_is_not_written_is_refused(recipe: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="has no ONNX counterpart here"):
        export(optimized(fused.build(recipe)[0]), tmp_path / "model.onnx")


@pytest.mark.parametrize("recipe", [name for name in fused.RECIPES if name not in NOT_WRITTEN])
def test_a_graph_is_exported(recipe: str, tmp_path: Path) -> None:
    graph, inputs = fused.build(recipe)
    for got, want in zip(answers(graph, inputs, tmp_path), wanted(graph, inputs), strict=True):
        assert_close(got, want)


def kinds(recipe: str, folder: Path) -> list[str]:
    """The ops of an exported graph, in order."""
    path = folder / "model.onnx"
    export(optimized(fused.build(recipe)[0]), path)
    return [node.op_type for node in onnx.load(str(path)).graph.node]


def test_no_tensor_is_transposed_between_convolutions(tmp_path: Path) -> None:
    assert "Transpose" not in kinds("bottleneck", tmp_path)
    assert "Transpose" not in kinds("squeeze_excite", tmp_path)


def test_a_batch_norm_that_no_weights_took_up_is_one_op(tmp_path: Path) -> None:
    assert kinds("bn_relu_conv", tmp_path) == ["BatchNormalization", "Relu", "Conv", "Identity"]


def test_a_layer_norm_is_one_op_and_alone_is_transposed(tmp_path: Path) -> None:
    transposed = ["Transpose", "LayerNormalization", "Transpose"]
    assert kinds("layer_norm", tmp_path) == ["Conv", *transposed, "Identity"]


def test_a_layer_norm_that_others_read_is_scaled_by_an_op_of_its_own(tmp_path: Path) -> None:
    b = fused.Builder(np.random.default_rng(0))
    norm = b.apply(Standardize((3,), 1e-6), b.input(2, 5, 4, 8))
    scaled = b.apply(Add(), b.apply(Multiply(), norm, b.weights(8)), b.weights(8))
    graph = Graph("net", tuple(b.inputs), (b.apply(Add(), scaled, norm),), ("y",))
    (got,), (want,) = answers(graph, b.feeds, tmp_path), wanted(graph, b.feeds)
    assert_close(got, want)


def test_no_tensor_is_transposed_before_it_is_flattened(tmp_path: Path) -> None:
    assert kinds("flattened_classifier", tmp_path) == ["Conv", "MaxPool", "Flatten", "Gemm", "Softmax", "Identity"]


def test_another_models_answer_is_not_taken_for_the_right_one(tmp_path: Path) -> None:
    right, wrong = (fused.build(name) for name in list(fused.RECIPES)[:2])
    (got, *_), (want, *_) = answers(*wrong, tmp_path), wanted(*right)
    assert relative_error(got, want) > 0.1


@pytest.mark.parametrize(
    "refused",
    [
        case("no_writer", Log(), (1, 4)),
        case("several_axes", Softmax((1, 2)), (1, 2, 3, 4)),
        case("shifted", Relu(threshold=1.0), (1, 4)),
        case("capped_leak", Relu(max_value=6.0, negative_slope=0.1), (1, 4)),
        case("computed_kernel", Conv((1,), ((0, 0),), (1,)), (1, 5, 2), (3, 2, 4)),
    ],
    ids=lambda refused: refused.name,
)
def test_what_onnx_cannot_say_is_refused_by_name(refused: Case, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with pytest.raises(UnsupportedError, match=refused.name):
        export(optimized(refused.graph()), path)
    assert not path.exists()
