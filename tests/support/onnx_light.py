"""The package's light models: well-known networks whose weights are one constant each. Here they are given others."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx

from convc.ir import Array

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
NAMES = tuple(sorted(path.stem.removeprefix("light_") for path in FOLDER.glob("*.onnx")))


def model(name: str) -> onnx.ModelProto:
    """The model as the package has it."""
    return onnx.load(FOLDER / f"light_{name}.onnx")


def suite_data(made: onnx.ModelProto, name: str) -> tuple[dict[str, Array], Array]:
    """The input that the package's runner makes, and the answer that lies beside the model."""
    (item,) = fed(made)
    shape = [dim.dim_value for dim in item.type.tensor_type.shape.dim]
    count = int(np.prod(shape))
    values = (np.arange(count).reshape(shape) / count).astype(np.float32)
    answer = onnx.TensorProto.FromString((FOLDER / f"light_{name}_output_0.pb").read_bytes())
    return {item.name: values}, onnx.numpy_helper.to_array(answer)


def fed(made: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The inputs that are no initializers."""
    initial = {tensor.name for tensor in made.graph.initializer}
    return [item for item in made.graph.input if item.name not in initial]


def seeded(name: str, seed: int = 0) -> onnx.ModelProto:
    """The model with random weights, such that activations neither vanish nor grow, and its scores as a second output.

    Weights are ConstantOfShape in the package's files; they become initializers.
    """
    made = model(name)
    graph = made.graph
    rng = np.random.default_rng(seed)
    shapes = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    roles: dict[str, tuple[str, int]] = {}
    for node in reversed(graph.node):  # what a weight goes through on its way does not matter
        for place, source in enumerate(node.input):
            through = node.op_type in ("Unsqueeze", "Reshape") and node.output[0] in roles
            roles[source] = roles[node.output[0]] if through and place == 0 else (node.op_type, place)
    rest = []
    for node in graph.node:
        if node.op_type != "ConstantOfShape":
            rest.append(node)
            continue
        shape = tuple(int(extent) for extent in shapes[node.input[0]])
        value = _draw(rng, roles.get(node.output[0], ("", 0)), shape)
        graph.initializer.append(onnx.numpy_helper.from_array(value, node.output[0]))
    del graph.node[:]
    graph.node.extend(rest)
    last = graph.node[-1]
    if last.op_type == "Softmax":
        scores = onnx.helper.make_tensor_value_info(last.input[0], onnx.TensorProto.FLOAT, None)
        graph.output.append(scores)
    return made


def _draw(rng: np.random.Generator, role: tuple[str, int], shape: tuple[int, ...]) -> Array:
    """Values for what an operator reads as its input of a number."""
    op_type, place = role
    if role in (("BatchNormalization", 1), ("BatchNormalization", 4)) or op_type == "Mul":
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    if op_type in ("Conv", "Gemm") and place == 1:
        weight: Array = rng.standard_normal(shape, np.float32)
        weight *= np.float32(math.sqrt(2 / max(1, math.prod(shape[1:]))))
        return weight
    return rng.normal(0, 0.1, shape).astype(np.float32)
