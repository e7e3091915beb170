"""The passes, in order: one visible list. `optimize` runs it, verifies each step and reports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from convc.errors import ConvcError
from convc.ir import Graph
from convc.ir.group import GroupedGraph
from convc.ir.spec import verify, verify_grouped
from convc.ir.text import to_text
from convc.passes.affine import FoldBatchNorm, FoldBatchNormForward, FoldChannelwise, SplitBatchNorm
from convc.passes.conv_transpose import DepthToSpaceToReshape, HoistUnary, RewriteConvTranspose
from convc.passes.group import group
from convc.passes.matmul import FoldTransposeIntoMatMul, FoldTransposeOfMatMul
from convc.passes.movement import MOVEMENT
from convc.passes.padding import FoldPadIntoAvgPool, FoldPadIntoConv, FoldPadIntoMaxPool, MergePads
from convc.passes.report import Decision, Report, report
from convc.passes.rule import Budget, Outcome, Pass, RulePass
from convc.passes.simplify import DivideToMultiply, DropIdentity, FoldConstant, MergeReshape, SubtractToAdd
from convc.passes.strides import PropagateStrides
from convc.passes.structure import MaterializeOutputs, RemoveDuplicates
from convc.passes.transpose import (
    AbsorbTransposeIntoReduce,
    FoldTransposeIntoDense,
    MergeTransposes,
    SinkTranspose,
    TransposeToReshape,
)
from convc.settings import Settings, from_environment

SIMPLIFY: Final = (FoldConstant(), SubtractToAdd(), DivideToMultiply(), DropIdentity(), MergeReshape())

PIPELINE: Final[tuple[Pass, ...]] = (
    RulePass("simplify", (*SIMPLIFY, *MOVEMENT)),
    RulePass(
        "cancel_transposes",
        (
            MergeTransposes(),
            AbsorbTransposeIntoReduce(),
            FoldTransposeIntoDense(),
            FoldTransposeIntoMatMul(),
            FoldTransposeOfMatMul(),
            SinkTranspose(),
        ),
    ),
    RulePass("normalize_padding", (DropIdentity(), MergePads())),
    RulePass("fold_padding", (FoldPadIntoConv(), FoldPadIntoMaxPool(), FoldPadIntoAvgPool())),
    RulePass("fold_batch_norm", (FoldBatchNorm(), FoldBatchNormForward(), FoldChannelwise())),
    RulePass("rewrite_conv_transpose", (RewriteConvTranspose(),), required=True),
    RulePass("hoist_unary", (HoistUnary(),)),
    RulePass("split_batch_norm", (SplitBatchNorm(),), required=True),
    PropagateStrides(),
    RulePass("tidy", (TransposeToReshape(), DepthToSpaceToReshape(), *SIMPLIFY, *MOVEMENT)),
    RemoveDuplicates(),
    MaterializeOutputs(),
)
"""What runs between the parsed graph and grouping."""


@dataclass(frozen=True)
class Optimized:
    """What lowering starts from, and what `convc explain` prints."""

    grouped: GroupedGraph
    report: Report


def optimize(graph: Graph, *, settings: Settings | None = None) -> Optimized:
    """Runs the pipeline and groups the result. `settings` are the environment's unless given.

    Raises `SpecError` where a stage breaks the rules of the IR, `UnsupportedError` where a batch normalisation has
    statistics that the model computes, `ConvcError` where the folder of CONVC_DUMP cannot be written.
    """
    settings = settings if settings is not None else from_environment()
    verify(graph, "parsed")
    budget = Budget(settings.stop_after)
    decisions: list[Decision] = []
    source = graph
    _dump(settings.dump, 0, "parsed", to_text(source), ())
    for number, step in enumerate(PIPELINE, 1):
        outcome = step.run(graph, budget)
        _check_claim(step.name, graph, outcome)
        graph = outcome.graph
        decisions += outcome.decisions
        _dump(settings.dump, number, step.name, to_text(graph), outcome.decisions)
    verify(graph, "optimized")
    grouped, fused = group(graph, budget)
    verify_grouped(grouped)
    decisions += fused
    _dump(settings.dump, len(PIPELINE) + 1, "group", grouped_text(grouped), fused)
    return Optimized(grouped, report(source, grouped, decisions))


def grouped_text(grouped: GroupedGraph) -> str:
    """One line per group: `conv1+bn1: Conv Relu : float32[1, 8, 8, 4]`."""
    lines = [f"graph {grouped.graph.name}: {len(grouped.groups)} groups"]
    for member in grouped.groups:
        kinds = " ".join(node.op.kind for node in member.nodes)
        lines.append(f"  {member.name}: {kinds} : {member.output.type}")
    return "\n".join(lines) + "\n"


def _check_claim(name: str, before: Graph, outcome: Outcome) -> None:
    """A pass changes the graph exactly when it says so, never the model's interface, and leaves a well-formed graph."""
    after = outcome.graph
    claimed = any(decision.applied for decision in outcome.decisions)
    assert claimed or after is before, f"pass {name} changed the graph and does not say so"
    assert not claimed or set(after.nodes) != set(before.nodes) or after.outputs != before.outputs, (
        f"pass {name} claims changes that it did not make"
    )
    assert after.inputs == before.inputs, f"pass {name} changed the inputs"
    assert after.output_names == before.output_names, f"pass {name} changed the outputs' names"
    types = [[node.type for node in graph.outputs] for graph in (before, after)]
    assert types[0] == types[1], f"pass {name} changed the outputs' types: {types[0]} to {types[1]}"
    verify(after, "parsed")


def _dump(folder: Path | None, number: int, name: str, text: str, decisions: tuple[Decision, ...]) -> None:
    if folder is None:
        return
    lines = [f"# {d.rule}: {d.origin.name} {d.reason}\n" for d in decisions]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:03}_{name}.txt").write_text(text + "".join(lines), encoding="utf-8")
    except OSError as error:
        raise ConvcError("CONVC_DUMP", f"cannot write to {folder}: {error.strerror}") from None
