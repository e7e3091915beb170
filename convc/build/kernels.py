"""The kernels of a model: one for each distinct fusion group, scheduled; on the CPU compiled to one object file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tvm

from convc import lower, schedules
from convc.build import registers
from convc.ir.group import Group
from convc.target import AnyTarget, CudaTarget, Target


@dataclass(frozen=True)
class Built:
    """A scheduled kernel, the rule that scheduled it, and the layout that it was lowered for."""

    name: str
    func: Any
    rule: str
    layout: lower.Layout


def build(
    group: Group, target: AnyTarget, *, bounded: bool, exact: bool, storage: lower.StoredTypes = lower.AS_TYPED
) -> Built:
    """Lowers and schedules the group's kernel; `exact` excludes what trades rounding errors for speed."""
    plain = lower.Layout(1, threads=True) if isinstance(target, CudaTarget) else lower.Layout(target.lanes)
    draft = lower.lower(group, plain, bounded=bounded, storage=storage)
    choice = schedules.choose(draft.func, target, exact=exact)
    layout = replace(plain, rows=choice.knobs.rows) if isinstance(target, CudaTarget) else _layout(choice.knobs, target)
    kernel = draft if layout == plain else lower.lower(group, layout, bounded=bounded, storage=storage)
    return Built(kernel.name, schedules.schedule(kernel.func, target, choice), choice.rule.name, layout)


def _layout(knobs: schedules.Knobs, target: Target) -> lower.Layout:
    return lower.Layout(knobs.lanes or target.lanes, knobs.rows, knobs.columns, knobs.winograd, knobs.strassen)


@dataclass
class Kernels:
    """Scheduled kernels by signature: groups that compute the same thing share one."""

    target: AnyTarget
    exact: bool
    storage: lower.StoredTypes = field(default_factory=lambda: lower.AS_TYPED)
    table: dict[str, Built] = field(default_factory=dict)

    def arguments(self, group: Group, *, bounded: bool) -> tuple[str, tuple[lower.Argument, ...]]:
        """The name of the group's kernel and the buffers to call it with; makes the kernel where it is the first."""
        key = lower.signature(group, bounded=bounded, storage=self.storage)
        if key not in self.table:
            self.table[key] = build(group, self.target, bounded=bounded, exact=self.exact, storage=self.storage)
        built = self.table[key]
        return built.name, lower.arguments_of(group, built.layout, bounded=bounded, storage=self.storage)

    @property
    def functions(self) -> dict[str, Any]:
        """The scheduled PrimFuncs by name."""
        return {built.name: built.func for built in self.table.values()}


def write_object(functions: Mapping[str, Any], target: Target, path: Path) -> None:
    """Compiles scheduled PrimFuncs for a CPU to an object file."""
    module = tvm.tirx.build(tvm.IRModule(dict(functions)), tvm_target(target), registers.PIPELINE)
    module.write_to_file(str(path), "o")


def tvm_target(target: Target) -> Any:
    """TVM's description of the target; vectors are as wide as the target's registers."""
    values: dict[str, object] = {"kind": "llvm", "mtriple": target.triple, "mcpu": target.mcpu}
    if target.lanes == 16:
        values["mattr"] = ["-prefer-256-bit"]
    return tvm.target.Target(values)
