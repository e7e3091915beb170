"""Loop schedules: ordered rules per kind of target, each with knobs and an analytical choice; the last always applies."""

if __name__ != "convc.schedules":
    raise ImportError("import convc.schedules: the folder schedules/ is a part of the package convc")

from convc.schedules.rule import Knobs, Rule  # noqa: E402
from convc.schedules.select import choose, schedule  # noqa: E402

__all__ = ["Knobs", "Rule", "choose", "schedule"]
