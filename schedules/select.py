"""Chooses a rule and its knobs for a kernel, and applies them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from convc.schedules import cpu, cuda
from convc.schedules.rule import KernelView, Knobs, Rule
from convc.target import AnyTarget, CudaTarget


@dataclass(frozen=True)
class Choice:
    """A rule and the knobs to apply it with."""

    rule: Rule[Any]
    knobs: Knobs


def choose(func: Any, target: AnyTarget, *, exact: bool) -> Choice:
    """The first rule that applies to the PrimFunc, with the knobs it picks for `target`.

    `exact` passes over rules that trade rounding errors for speed.
    """
    view = _view(func, target)
    rules: tuple[Rule[Any], ...] = cuda.RULES if isinstance(target, CudaTarget) else cpu.RULES
    rule = next(rule for rule in rules if (rule.exact or not exact) and rule.applies(view, target))
    return Choice(rule, rule.choose(view, target))


def schedule(func: Any, target: AnyTarget, choice: Choice) -> Any:
    """The scheduled PrimFunc. `func` is lowered for the layout that the knobs ask for."""
    return choice.rule.schedule(_view(func, target), choice.knobs, target)


def _view(func: Any, target: AnyTarget) -> KernelView:
    return KernelView(cuda.prepared(func) if isinstance(target, CudaTarget) else func)
