"""An exported ONNX graph as plain data: what a machine measures that has no onnx.

Two files hold it: the steps as JSON, and the weights, which graphs of other batch sizes may share, as .npz.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Step:
    """One node: an ONNX op, the names of its inputs and of its only output, and its attributes."""

    op: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class PlainGraph:
    """`feeds` and `results` are names of inputs and outputs; `numbers` are constants that are shapes, axes or bounds,
    `weights` all others."""

    feeds: tuple[str, ...]
    results: tuple[str, ...]
    steps: tuple[Step, ...]
    numbers: Mapping[str, Any]
    weights: Mapping[str, Array]

    def save(self, steps: Path, weights: Path) -> None:
        """Writes both files; the one with the weights ends in .npz."""
        values = {name: value for name, value in asdict(self).items() if name != "weights"}
        steps.write_text(json.dumps(values), encoding="ascii")
        np.savez(weights, **self.weights)  # type: ignore[arg-type]


def load(steps: Path, weights: Path) -> PlainGraph:
    """What `PlainGraph.save` wrote."""
    values = json.loads(steps.read_text(encoding="ascii"))
    made = tuple(Step(s["op"], tuple(s["inputs"]), s["output"], s["attributes"]) for s in values["steps"])
    with np.load(weights) as file:
        arrays = {name: file[name] for name in file.files}
    return PlainGraph(tuple(values["feeds"]), tuple(values["results"]), made, values["numbers"], arrays)


def read_onnx(path: Path) -> PlainGraph:
    """The graph of an ONNX file."""
    import onnx

    def attribute(entry: onnx.AttributeProto) -> Any:
        value = onnx.helper.get_attribute_value(entry)
        return value.decode() if isinstance(value, bytes) else list(value) if hasattr(value, "__len__") else value

    graph = onnx.load(str(path)).graph
    steps = tuple(
        Step(
            node.op_type, tuple(node.input), node.output[0], {entry.name: attribute(entry) for entry in node.attribute}
        )
        for node in graph.node
    )
    constants = {constant.name: onnx.numpy_helper.to_array(constant) for constant in graph.initializer}
    weights = {name: value for name, value in constants.items() if value.ndim and value.dtype.kind != "i"}
    numbers = {name: value.tolist() for name, value in constants.items() if name not in weights}
    names = [tuple(port.name for port in ports) for ports in (graph.input, graph.output)]
    return PlainGraph(names[0], names[1], steps, numbers, weights)
