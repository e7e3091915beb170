"""What is computed on GPUs to test them: the cases of every op side by side; and how near to the reference is right."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from convc import ops
from convc.build.emit import emit
from convc.ir import Array, DType, Graph, Node
from convc.ir.graph import rebuild
from convc.passes import optimize
from convc.precision import Precision
from convc.target import AnyTarget
from tests.support.kernels import PARTS, Subject, joined
from tests.tolerances import RELATIVE, relative_error

PRODUCTS: Final = ("conv", "conv_transpose", "dense", "fused", "matmul")
"""Stems whose kernels differ between precisions; those of the others read and write ports, which are float32."""
AMPLIFIED: Final = 3
"""How many times the error of rounded weights a network's error may be. Rounding the input and the sum of each layer as
well makes it sqrt(3) times as large, if all of them count alike."""


def precisions(name: str) -> tuple[Precision, ...]:
    """Those in which a part of the cases, or a network, is tested."""
    same = name in PARTS and name.rpartition("-")[0] not in PRODUCTS
    return (Precision.FLOAT32,) if same else tuple(Precision)


def cases(part: str) -> Subject:
    """The cases of a part in one graph, so that nvcc runs once for them."""
    return joined(PARTS[part])


def compile(graph: Graph, output: Path, target: AnyTarget, precision: Precision = Precision.FLOAT32) -> None:
    """Writes the library of `graph`. Raises what `emit` raises."""
    quiet = lambda *call: None  # noqa: E731
    grouped = optimize(graph).grouped
    emit(grouped, target=target, output=output, header=None, exact=False, progress=quiet, precision=precision)


def limit(precision: Precision) -> float:
    """Largest accepted ||got - want|| / ||want|| of single layers and short chains."""
    return RELATIVE["kernel" if precision is Precision.FLOAT32 else precision.value]


def network_limit(network: Subject, precision: Precision) -> float:
    """Largest accepted ||got - want|| / ||want|| of a network.

    Deep networks multiply errors, drawn ones more than trained ones: what rounding the weights alone does to the
    reference's answer says by how much. float32's errors are multiplied as tf32's are.
    """
    if precision is Precision.FLOAT32:
        share = RELATIVE["kernel"] / RELATIVE["tf32"]
        return max(RELATIVE["float32"], share * network_limit(network, Precision.TF32))
    rounded = Subject(network.name, with_rounded_weights(network.graph, precision), network.feeds).want
    moved = max(relative_error(rounded[name], want) for name, want in network.want.items())
    return max(limit(precision), AMPLIFIED * moved)


def with_rounded_weights(graph: Graph, precision: Precision) -> Graph:
    """The graph with products whose weights are numbers of the precision."""
    products = [node for node in graph.nodes if isinstance(node.op, ops.Conv | ops.ConvTranspose | ops.Dense)]
    weights = {node.inputs[1] for node in products}
    new: dict[Node, Node] = {}
    for node in graph.nodes:
        new[node] = rebuild(node, [new[source] for source in node.inputs])
        if node in weights and isinstance(node.op, ops.Constant):
            new[node] = ops.constant(_rounded(node.op.value, precision), node.origin)
    return Graph(graph.name, graph.inputs, tuple(new[node] for node in graph.outputs), graph.output_names)


def _rounded(value: Array, precision: Precision) -> Array:
    """To nearest. tf32 has as many digits as float16, and float32's range."""
    if precision is Precision.TF32:
        fraction, exponent = np.frexp(value)
        return np.asarray(np.ldexp(np.round(fraction * (1 << 11)), exponent - 11), np.float32)
    return value.astype(DType(precision.storage).numpy).astype(np.float32)
