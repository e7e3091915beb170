"""What torch is given computes what convc's references do, where torch is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.onnx_export import channels_first, export
from benchmarks.plain_graph import read_onnx
from convc.errors import UnsupportedError
from convc.ir import Graph
from convc.ops import Exp, evaluate
from convc.passes import optimize
from tests.cases import fused
from tests.tolerances import assert_close

torch = pytest.importorskip("torch", reason="torch is measured where it is installed: pip install torch")

from benchmarks.torch_model import OPS, Network, tensor  # noqa: E402

RECIPES = (
    "bn_relu_conv", "bottleneck", "classifier", "conv_bias_relu", "dense_block", "dense_gelu", "depthwise_bn_hard_silu",
    "depthwise_s2_bn_silu", "flattened_classifier", "inception", "inverted_residual", "layer_norm", "squeeze_excite",
    "stem_with_padded_max_pool",
)  # fmt: skip


def test_the_recipes_exist() -> None:
    assert set(RECIPES) <= set(fused.RECIPES)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_graph_is_computed(recipe: str, tmp_path: Path) -> None:
    graph, feeds = fused.build(recipe)
    path = tmp_path / "model.onnx"
    export(optimize(graph).grouped.graph, path)
    with torch.inference_mode():
        answers = Network(read_onnx(path)).eval()(*(tensor(channels_first(value)) for value in feeds.values()))
    values = evaluate(graph, feeds)
    for got, node in zip(answers, graph.outputs, strict=True):
        assert_close(got.numpy(), channels_first(values[node]))


def test_padding_that_differs_from_side_to_side() -> None:
    x = torch.arange(9.0).reshape(1, 1, 3, 3)
    shared = {"kernel_shape": (2, 2), "pads": (0, 0, 1, 1), "strides": (1, 1)}
    assert OPS["MaxPool"](-x, **shared).flatten().tolist() == [0, -1, -2, -3, -4, -5, -6, -7, -8]
    assert OPS["Conv"](x, torch.ones(1, 1, 2, 2), **shared).flatten().tolist() == [8, 12, 7, 20, 24, 13, 13, 15, 8]
    with pytest.raises(UnsupportedError, match="padding that differs"):
        OPS["AveragePool"](x, count_include_pad=0, **shared)


def test_slices() -> None:
    x = torch.arange(12.0).reshape(3, 4)
    assert OPS["Slice"](x, [1, 0], [3, 4], [0, 1], [1, 3]).tolist() == [[4, 7], [8, 11]]
    with pytest.raises(UnsupportedError, match="step"):
        OPS["Slice"](x, [3], [-5], [1], [-1])


def test_another_op_is_refused(tmp_path: Path) -> None:
    b = fused.Builder(np.random.default_rng(0))
    x = b.input(1, 4)
    graph = Graph("net", (x,), (b.apply(Exp(), x),), ("y",))
    export(graph, tmp_path / "model.onnx")
    with pytest.raises(UnsupportedError, match="Exp is not among the ops"):
        Network(read_onnx(tmp_path / "model.onnx"))
