"""Whole models of the package onnx: what PyTorch once exported, simple ones, and well-known networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from convc import target as targets
from convc.build.emit import emit
from convc.errors import UnsupportedError
from convc.frontends.onnx import load
from convc.ir import Graph
from convc.passes import optimize
from convc.runtime import load as load_library
from tests.support import onnx_light as light
from tests.support.kernels import renamed
from tests.support.onnx import NodeTest, answers, of_model
from tests.tolerances import assert_close

DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"
FOLDERS = sorted(
    path for kind in ("pytorch-converted", "pytorch-operator", "simple") for path in (DATA / kind).iterdir()
)
REASONS = {
    "test_gradient_of_add": "training",
    "test_gradient_of_add_and_mul": "training",
    **{f"test_sequence_model{i}": "sequences" for i in range(1, 9)},
    **{folder.name: "strings" for folder in FOLDERS if folder.name.startswith("test_strnorm")},
}
"""Those that do not pass, and why."""

SMALL = ("shufflenet", "squeezenet")
"""Light models that are quick to compile."""


def read(folder: Path) -> NodeTest:
    """A model with the first of its data. Raises `ConvcError`."""
    data = folder / "test_data_set_0"
    inputs, outputs = (
        [onnx.TensorProto.FromString(path.read_bytes()) for path in sorted(data.glob(f"{what}_*.pb"), key=_number)]
        for what in ("input", "output")
    )
    return of_model(folder.name, onnx.load(folder / "model.onnx"), inputs, outputs, 1e-3, 1e-7)


def _number(path: Path) -> int:
    return int(path.stem.rpartition("_")[2])


def test_how_many_there_are() -> None:
    assert len(FOLDERS) - len(REASONS) == 82 + 35 + 7


LARGE = "test_MaxPool2d_stride_padding_dilation"
"""A window of 60 times 80 elements, dilated: as long to compile as all others."""


@pytest.mark.parametrize("large", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_what_pytorch_exported_and_simple_models(large: bool, tmp_path: Path) -> None:
    tests = [read(folder) for folder in FOLDERS if folder.name not in REASONS and (folder.name == LARGE) == large]
    got = answers(tests, targets.resolve("native"), tmp_path)
    problems = [problem for test in tests if (problem := test.problem(got[test.name]))]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("name", REASONS)
def test_the_others_are_refused(name: str) -> None:
    (folder,) = (folder for folder in FOLDERS if folder.name == name)
    with pytest.raises(UnsupportedError):
        load(folder / "model.onnx")


@pytest.mark.parametrize(
    "name", [name if name in SMALL else pytest.param(name, marks=pytest.mark.slow) for name in light.NAMES]
)
def test_light_models(name: str, tmp_path: Path) -> None:
    """The suite's data with the weights as they are, and onnxruntime with random ones: one library holds both."""
    plain, seeded = light.model(name), light.seeded(name)
    (item,) = light.fed(plain)
    given, wanted = light.suite_data(plain, name)
    image = np.random.default_rng(1).standard_normal(given[item.name].shape, np.float32)
    graphs = [renamed(load(plain), "plain/"), renamed(load(seeded), "seeded/")]
    library = tmp_path / "light.so"
    emit(optimize(_beside(graphs)).grouped, target=targets.resolve("native"), output=library, header=None, exact=False,
         progress=lambda *_: None)  # fmt: skip
    with load_library(library) as module:
        got = module.run({f"plain/{item.name}": given[item.name], f"seeded/{item.name}": image})
    np.testing.assert_allclose(got[f"plain/{plain.graph.output[0].name}"], wanted, rtol=1e-3, atol=1e-7)
    for output, want in zip(seeded.graph.output, judged(seeded, {item.name: image}), strict=True):
        assert np.ptp(want) > 1e-3, "the answers say nothing"
        assert_close(got[f"seeded/{output.name}"], want)
        print(name, output.name, np.linalg.norm(got[f"seeded/{output.name}"] - want) / np.linalg.norm(want))


def _beside(graphs: list[Graph]) -> Graph:
    return Graph(
        "light",
        tuple(node for graph in graphs for node in graph.inputs),
        tuple(node for graph in graphs for node in graph.outputs),
        tuple(name for graph in graphs for name in graph.output_names),
    )


def judged(made: onnx.ModelProto, feeds: dict[str, Any]) -> list[Any]:
    """onnxruntime's answers."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    answer: list[Any] = session.run(None, feeds)
    return answer


def test_a_network_has_no_transposes_inside() -> None:
    """Graphs arrive channels-first: what is moved at the border of each operator is cancelled between them."""
    grouped = optimize(load(light.model("resnet50"))).grouped
    kinds = [group.anchor.op.kind for group in grouped.groups]
    assert kinds.count("Transpose") == 1
    assert kinds[0] == "Transpose"
