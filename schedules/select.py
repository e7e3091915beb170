"""Chooses a rule and its knobs for a kernel, and applies them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from convc.schedules.cpu import RULES
from convc.schedules.rule import KernelView, Knobs, Rule
from convc.target import Target


@dataclass(frozen=True)
class Choice:
    """A rule and the knobs to apply it with."""

    rule: Rule
    knobs: Knobs


def choose(func: Any, target: Target, *, exact: bool) -> Choice:
    """The first rule that applies to the PrimFunc, with the knobs it picks for `target`.

    `exact` passes over rules that trade rounding errors for speed.
    """
    view = KernelView(func)
    rule = next(rule for rule in RULES if (rule.exact or not exact) and rule.applies(view, target))
    return Choice(rule, rule.choose(view, target))


def schedule(func: Any, target: Target, choice: Choice) -> Any:
    """The scheduled PrimFunc. `func` is lowered for the layout that the knobs ask for."""
    return choice.rule.schedule(KernelView(func), choice.knobs, target)
