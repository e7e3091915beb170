"""The kernels of a model: one for each distinct fusion group, scheduled and compiled to one object file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tvm

from convc import lower, schedules
from convc.build import registers
from convc.ir.group import Group
from convc.target import Target


@dataclass(frozen=True)
class Built:
    """A scheduled kernel, the rule that scheduled it, and the layout that it was lowered for."""

    name: str
    func: Any
    rule: str
    layout: lower.Layout


def build(group: Group, target: Target, *, bounded: bool, exact: bool) -> Built:
    """Lowers and schedules the group's kernel; `exact` excludes what trades rounding errors for speed."""
    plain = lower.Layout(target.lanes)
    draft = lower.lower(group, plain, bounded=bounded)
    choice = schedules.choose(draft.func, target, exact=exact)
    knobs = choice.knobs
    layout = lower.Layout(knobs.lanes or target.lanes, knobs.rows, knobs.columns, knobs.winograd, knobs.strassen)
    kernel = draft if layout == plain else lower.lower(group, layout, bounded=bounded)
    return Built(kernel.name, schedules.schedule(kernel.func, target, choice), choice.rule.name, layout)


@dataclass
class Kernels:
    """Scheduled kernels by signature: groups that compute the same thing share one."""

    target: Target
    exact: bool
    table: dict[str, Built] = field(default_factory=dict)

    def arguments(self, group: Group, *, bounded: bool) -> tuple[str, tuple[lower.Argument, ...]]:
        """The name of the group's kernel and the buffers to call it with; makes the kernel where it is the first."""
        key = lower.signature(group, bounded=bounded)
        if key not in self.table:
            self.table[key] = build(group, self.target, bounded=bounded, exact=self.exact)
        built = self.table[key]
        return built.name, lower.arguments_of(group, built.layout, bounded=bounded)

    def write(self, path: Path) -> None:
        """Compiles all kernels to an object file."""
        functions = {built.name: built.func for built in self.table.values()}
        module = tvm.tirx.build(tvm.IRModule(functions), tvm_target(self.target), registers.PIPELINE)
        module.write_to_file(str(path), "o")


def tvm_target(target: Target) -> Any:
    """TVM's description of the target; vectors are as wide as the target's registers."""
    values: dict[str, object] = {"kind": "llvm", "mtriple": target.triple, "mcpu": target.mcpu}
    if target.lanes == 16:
        values["mattr"] = ["-prefer-256-bit"]
    return tvm.target.Target(values)
