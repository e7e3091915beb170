"""Compares a compiled library with the NumPy reference of the model that it was made from."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from convc import runtime
from convc import target as targets
from convc.api import Model, Weights, read
from convc.artifact import TensorSpec
from convc.errors import ModelError
from convc.ir import Array, Graph, Node, Shape
from convc.ir.group import GroupedGraph
from convc.ops import Constant, Reshape, evaluate
from convc.passes import optimize
from convc.precision import Precision
from convc.samples import index_limits, random_feeds

TOLERANCES = {
    Precision.FLOAT32: 1e-5,
    Precision.TF32: 3e-3,
    Precision.FLOAT16: 5e-3,
    Precision.BFLOAT16: 2e-2,
}
"""Largest accepted ||got - want|| / ||want|| of a library.

float32: what sums of a deep model may lose. The others round the operands of products to p bits: by 0.42 * 2^-p each,
the root mean square of a relative error that is at most 2^-p and as large at every size of a number, and by sqrt(2) as
much for a product, whatever the length of a sum of products of random signs. Layers add theirs as sums of squares: a
hundred layers with products in a row have ten times that.

tf32, p = 11: 0.42 * 2^-11 * sqrt(2) * 10 = 2.9e-3. float16 has p = 11 too, but what is between the layers is stored in
it, sums of a shortcut also, and its small numbers have fewer bits. bfloat16 has p = 8: 2.3e-2 for a hundred layers,
2e-2 for seventy.
"""


@dataclass(frozen=True)
class Comparison:
    """One tensor against its reference."""

    name: str
    """The output's name, or the layer as messages call it."""
    shape: Shape
    error: float
    """||got - want|| / ||want||; infinite where shapes differ or a value is not finite."""
    ok: bool


@dataclass(frozen=True)
class VerifyReport:
    """What was compared. `ok` is whether everything is within the tolerance."""

    outputs: tuple[Comparison, ...]
    """The library's outputs against the reference."""
    optimized: tuple[Comparison, ...]
    """The outputs of the graph after the passes against the reference."""
    layers: int
    """Layers of the model that were compared or folded into a compared one."""
    diverging: str | None
    """The first layer whose value the passes changed, if any."""
    kernels: tuple[Comparison, ...]
    """Every kernel's output against the reference, in the order of a run; empty where it was not asked for."""
    seed: int
    tolerance: float
    """Of the library; what the passes changed is computed in float64 and held to that of float32."""

    @property
    def ok(self) -> bool:
        """Whether the library computes what the model says."""
        return all(c.ok for c in (*self.outputs, *self.optimized, *self.kernels)) and self.diverging is None


def verify(
    artifact: str | os.PathLike[str],
    model: Model,
    *,
    seed: int = 0,
    tolerance: float | None = None,
    weights: Weights | None = None,
    input_shapes: Mapping[str, Shape] | None = None,
    device: str | None = None,
    threads: int | None = None,
    kernels: bool = False,
) -> VerifyReport:
    """Runs `artifact` on random inputs of `seed` and compares it with the float64 reference of `model`.

    `tolerance` is by default that of the library's precision; `device` and `threads` are those of `convc.load`.

    The graph after the passes is compared too, layer by layer: a wrong rewrite is told from a wrong kernel. With
    `kernels`, and where the library is wrong though the passes are right, the model is compiled once more for the
    library's target with every kernel's output as an output of the model, and these are compared.

    The batch size is the library's; `weights` and `input_shapes` must be what it was compiled with. Raises `ModelError`
    where the two do not have the same inputs and outputs, and what `convc.api.read` and `convc.load` raise.
    """
    with runtime.load(artifact, device, threads) as module:
        batch = next((spec.shape[0] for spec in module.inputs if spec.shape), 1)
        graph = read(model, batch=batch, weights=weights, input_shapes=input_shapes)
        inputs = [(node.name, node) for node in graph.inputs]
        outputs = list(zip(graph.output_names, graph.outputs, strict=True))
        _check_ports("inputs", module.inputs, inputs)
        _check_ports("outputs", module.outputs, outputs)
        feeds = random_feeds(module.inputs, seed, index_limits(graph))
        got = module.run(feeds)
        held = module.metadata
    precision = Precision(held.precision)
    exactness = TOLERANCES[Precision.FLOAT32] if tolerance is None else tolerance
    accepted = TOLERANCES[precision] if tolerance is None else tolerance
    want = evaluate(graph, feeds, keep=True)
    grouped = optimize(graph).grouped
    rewritten = evaluate(grouped.graph, feeds, keep=True)
    report = VerifyReport(
        outputs=tuple(compare(name, got[name], want[node], accepted) for name, node in outputs),
        optimized=tuple(
            compare(name, rewritten[new], want[old], exactness)
            for (name, old), new in zip(outputs, grouped.graph.outputs, strict=True)
        ),
        layers=len({node.origin for node in graph.nodes if _computes(graph, node)}),
        diverging=first_divergence(graph, want, rewritten, exactness),
        kernels=(),
        seed=seed,
        tolerance=accepted,
    )
    if kernels or (not report.ok and report.diverging is None):
        compared = compare_kernels(grouped, held.target, feeds, rewritten, accepted, precision=precision, device=device)
        return replace(report, kernels=compared)
    return report


def compare_kernels(
    grouped: GroupedGraph,
    target: str,
    feeds: Mapping[str, Array],
    want: Mapping[Node, Array],
    tolerance: float,
    *,
    precision: Precision = Precision.FLOAT32,
    device: str | None = None,
) -> tuple[Comparison, ...]:
    """Compiles `grouped` with every kernel's output as an output, and compares each with `want`."""
    from convc.build.emit import emit

    groups = [group for group in grouped.groups if not isinstance(group.anchor.op, Reshape)]
    names = tuple(f"group_{place}" for place in range(len(groups)))
    graph = grouped.graph
    shown = Graph(graph.name, graph.inputs, tuple(group.output for group in groups), names)
    native = targets.native()
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "kernels.so"
        emit(
            GroupedGraph(shown, grouped.groups),
            target=native if native.name == target else targets.named(target),
            output=library,
            header=None,
            exact=False,
            precision=precision,
            progress=lambda done, total, what: None,
        )
        with runtime.load(library, device) as module:
            got = module.run(feeds)
    return tuple(
        compare(group.name, got[name], want[group.output], tolerance) for name, group in zip(names, groups, strict=True)
    )


def compare(name: str, got: Array, want: Array, tolerance: float) -> Comparison:
    """One tensor against its reference, by the relative error of norms."""
    error = relative_error(got, want)
    return Comparison(name, tuple(want.shape), error, error <= tolerance)


def relative_error(got: Array, want: Array) -> float:
    """||got - want|| / ||want|| in float64; the norm of `got` alone where `want` is zero."""
    if got.shape != want.shape or not np.isfinite(got).all():
        return float("inf")
    scale = float(np.linalg.norm(want.astype(np.float64)))
    error = float(np.linalg.norm(got.astype(np.float64) - want.astype(np.float64)))
    return error / scale if scale else error


def first_divergence(
    graph: Graph, want: Mapping[Node, Array], rewritten: Mapping[Node, Array], tolerance: float
) -> str | None:
    """The first layer of `graph` whose value, and that of all layers after it, occurs nowhere in the rewritten graph.

    A layer that was folded has no value of its own there; what follows it still has. Matching by value therefore
    needs no map between the two graphs.
    """
    by_shape: dict[Shape, list[Array]] = {}
    for value in rewritten.values():
        by_shape.setdefault(value.shape, []).append(value)
    sound: set[Node] = set()
    for node in reversed(graph.nodes):
        value = want[node]
        if any(reader in sound for reader in graph.consumers[node]) or any(
            relative_error(candidate, value) <= tolerance for candidate in by_shape.get(value.shape, ())
        ):
            sound.add(node)
    broken = (node for node in graph.nodes if _computes(graph, node) and node not in sound)
    return next((str(node.origin) for node in broken), None)


def _computes(graph: Graph, node: Node) -> bool:
    return node not in graph.inputs and not isinstance(node.op, Constant)


def _check_ports(what: str, library: Sequence[TensorSpec], model: Sequence[tuple[str, Node]]) -> None:
    held = ", ".join(map(str, library))
    parsed = ", ".join(str(TensorSpec(name, node.type.shape, node.type.dtype.value)) for name, node in model)
    if held != parsed:
        raise ModelError(f"{what} of the model", "not those of the library", expected=held, received=parsed)
