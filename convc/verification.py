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
from convc.samples import index_limits, random_feeds

TOLERANCE = 1e-5
"""Largest accepted ||got - want|| / ||want||: what float32 sums of a deep model may lose."""


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

    @property
    def ok(self) -> bool:
        """Whether the library computes what the model says."""
        return all(c.ok for c in (*self.outputs, *self.optimized, *self.kernels)) and self.diverging is None


def verify(
    artifact: str | os.PathLike[str],
    model: Model,
    *,
    seed: int = 0,
    tolerance: float = TOLERANCE,
    weights: Weights | None = None,
    input_shapes: Mapping[str, Shape] | None = None,
    threads: int | None = None,
    kernels: bool = False,
) -> VerifyReport:
    """Runs `artifact` on random inputs of `seed` and compares it with the float64 reference of `model`.

    The graph after the passes is compared too, layer by layer: a wrong rewrite is told from a wrong kernel. With
    `kernels`, and where the library is wrong though the passes are right, the model is compiled once more for the
    library's target with every kernel's output as an output of the model, and these are compared.

    The batch size is the library's; `weights` and `input_shapes` must be what it was compiled with. Raises `ModelError`
    where the two do not have the same inputs and outputs, and what `convc.api.read` and `convc.load` raise.
    """
    with runtime.load(artifact, threads=threads) as module:
        batch = next((spec.shape[0] for spec in module.inputs if spec.shape), 1)
        graph = read(model, batch=batch, weights=weights, input_shapes=input_shapes)
        inputs = [(node.name, node) for node in graph.inputs]
        outputs = list(zip(graph.output_names, graph.outputs, strict=True))
        _check_ports("inputs", module.inputs, inputs)
        _check_ports("outputs", module.outputs, outputs)
        feeds = random_feeds(module.inputs, seed, index_limits(graph))
        got = module.run(feeds)
        target = module.metadata.target
    want = evaluate(graph, feeds, keep=True)
    grouped = optimize(graph).grouped
    rewritten = evaluate(grouped.graph, feeds, keep=True)
    report = VerifyReport(
        outputs=tuple(compare(name, got[name], want[node], tolerance) for name, node in outputs),
        optimized=tuple(
            compare(name, rewritten[new], want[old], tolerance)
            for (name, old), new in zip(outputs, grouped.graph.outputs, strict=True)
        ),
        layers=len({node.origin for node in graph.nodes if _computes(graph, node)}),
        diverging=first_divergence(graph, want, rewritten, tolerance),
        kernels=(),
        seed=seed,
        tolerance=tolerance,
    )
    if kernels or (not report.ok and report.diverging is None):
        return replace(report, kernels=compare_kernels(grouped, target, feeds, rewritten, tolerance))
    return report


def compare_kernels(
    grouped: GroupedGraph, target: str, feeds: Mapping[str, Array], want: Mapping[Node, Array], tolerance: float
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
            target=native if native.name == target else targets.resolve(target),
            output=library,
            header=None,
            exact=False,
            progress=lambda done, total, what: None,
        )
        with runtime.load(library) as module:
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
