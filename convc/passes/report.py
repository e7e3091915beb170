"""What the passes did and what they refused, with reasons: the material of `convc explain`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from convc.ir import Graph, Origin
from convc.ir.group import GroupedGraph
from convc.ops import Constant, Input, Reshape

SHARE_CONSTANT = "share_constant"
"""The rule that stores equal constants once. Dumps show it; reports leave it out, as it changes no layer."""


@dataclass(frozen=True)
class Decision:
    """One rewrite that a rule made, or one that matched and was refused."""

    rule: str
    origin: Origin
    """The layer that it is about."""
    applied: bool
    reason: str
    """What was done ("folded into conv_2"), or what was not and why ("not folded into conv_2: …")."""
    culprit: Origin | None = None
    """The layer that stood in the way; None where the reason lies in `origin` itself."""


@dataclass(frozen=True)
class Report:
    """All decisions of a run of the passes, in the order of the source graph's layers."""

    model: str
    layers: int
    """Source layers that compute something."""
    kernels: int
    """Kernels that are left; views (Reshape) are not counted."""
    views: int
    decisions: tuple[Decision, ...]

    def to_text(self) -> str:
        """A summary line, then what was fused and what was not, one line each; ends with a newline."""
        lines = [f"{self.model}: {self.layers} layers -> {self.kernels} kernels, {self.views} views"]
        width = max((len(_short(d.origin)) for d in self.decisions), default=0)
        rule_width = max((len(d.rule) for d in self.decisions), default=0)
        for title, applied in (("fused", True), ("not fused", False)):
            chosen = [d for d in self.decisions if d.applied is applied]
            if chosen:
                counts = Counter(d.rule for d in chosen)
                lines.append(f"\n{title}: " + ", ".join(f"{n} {rule}" for rule, n in sorted(counts.items())))
                lines += [f"  {_short(d.origin):<{width}}  {d.rule:<{rule_width}}  {d.reason}" for d in chosen]
        return "\n".join(lines) + "\n"

    def to_json(self) -> dict[str, Any]:
        """The same as plain data, ready for `json.dumps`."""
        return {
            "model": self.model,
            "layers": self.layers,
            "kernels": self.kernels,
            "views": self.views,
            "decisions": [
                {
                    "rule": d.rule,
                    "layer": d.origin.name,
                    "kind": d.origin.kind,
                    "applied": d.applied,
                    "reason": d.reason,
                    "culprit": d.culprit.name if d.culprit else None,
                }
                for d in self.decisions
            ],
        }


def report(source: Graph, grouped: GroupedGraph, decisions: Iterable[Decision]) -> Report:
    """The report on the way from `source` to `grouped`; a refusal that several passes repeat is kept once."""
    order: dict[Origin, int] = {}
    for node in source.nodes:
        order.setdefault(node.origin, len(order))
    unique: list[Decision] = []
    refusals: set[Decision] = set()
    for decision in decisions:
        if decision.rule != SHARE_CONSTANT and (decision.applied or decision not in refusals):
            unique.append(decision)
        if not decision.applied:
            refusals.add(decision)
    layers = {node.origin for node in source.nodes if not isinstance(node.op, Input | Constant)}
    views = sum(isinstance(group.anchor.op, Reshape) for group in grouped.groups)
    return Report(
        source.name,
        len(layers),
        len(grouped.groups) - views,
        views,
        tuple(sorted(unique, key=lambda decision: order[decision.origin])),
    )


def _short(origin: Origin) -> str:
    return f"{origin.name} ({origin.kind})"
