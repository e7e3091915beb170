"""Loop schedules: ordered rules, each with knobs and an analytical choice; the last always applies."""

if __name__ != "convc.schedules":
    raise ImportError("import convc.schedules: the folder schedules/ is a part of the package convc")

from convc.schedules.rule import Knobs, Rule
from convc.schedules.select import choose, schedule

__all__ = ["Knobs", "Rule", "choose", "schedule"]
