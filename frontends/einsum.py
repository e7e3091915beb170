"""Einsum: its equations, and the products that they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from convc.errors import ModelError, ShapeError, UnsupportedError
from convc.frontends.product import product, total, transposed
from convc.ir import Node, Origin, Shape

MAX_LETTERS = 1000
"""Characters of an equation; more is taken for an attack."""


@dataclass(frozen=True)
class Equation:
    """An einsum's operands and output as axes: letters, and "..." at most once in each."""

    operands: tuple[str, ...]
    out: str

    @classmethod
    def parse(cls, text: object) -> Equation:
        """Reads "ij,jk->ik", or without "->" as NumPy does. Raises `ConvcError` with an empty subject."""
        if not isinstance(text, str) or len(text) > MAX_LETTERS:
            raise ModelError("", "the equation is wrong", expected="a text like 'ij,jk->ik'", received=_shown(text))
        operands, arrow, out = "".join(text.split()).partition("->")
        parts = operands.split(",")
        if not arrow:
            letters = operands.replace("...", "").replace(",", "")
            once = sorted(letter for letter in set(letters) if letters.count(letter) == 1)
            out = ("..." if "..." in operands else "") + "".join(once)
        for part in (*parts, out):
            letters = part.replace("...", "", 1)
            if letters and not re.fullmatch("[a-zA-Z]+", letters):
                raise ModelError("", "the equation is wrong", expected="letters and '...'", received=_shown(text))
            if len(set(letters)) < len(letters):
                raise UnsupportedError("", f"the equation {_shown(text)} has a letter twice in one tensor")
        unknown = set(out) - set(operands)
        if unknown or ("..." in operands) != ("..." in out):
            missing = "".join(sorted(unknown)) or "..."
            message = f"the equation {_shown(text)} has {missing!r} on one side only"
            raise UnsupportedError("", message, expected="each letter of the output in an operand, and '...' in both")
        return cls(tuple(parts), out)

    def labels(self, shapes: Sequence[Shape]) -> tuple[list[list[int]], list[int]]:
        """A number for each axis of each operand, and of the output. Raises `ShapeError`."""
        if len(shapes) != len(self.operands):
            expected, received = str(len(self.operands)), str(len(shapes))
            raise ModelError("", "wrong number of inputs", expected=expected, received=received)
        numbers: dict[str | int, int] = {}
        width = 0
        rows = []
        for part, shape in zip(self.operands, shapes, strict=True):
            front, dots, behind = part.partition("...")
            extra = len(shape) - len(front) - len(behind)
            if extra < 0 or (extra and not dots):
                raise ShapeError("", f"a tensor does not fit '{part}'", received=str(shape))
            width = max(width, extra)
            # The axes of "..." are aligned at their end.
            rows.append([numbers.setdefault(axis, len(numbers)) for axis in (*front, *range(-extra, 0), *behind)])
        front, dots, behind = self.out.partition("...")
        wanted = (*front, *(range(-width, 0) if dots else ()), *behind)
        return rows, [numbers[axis] for axis in wanted]


def einsum(equation: Equation, nodes: Sequence[Node], origin: Origin) -> Node:
    """The products from left to right, each summed over what no later tensor and not the output has."""
    rows, out = equation.labels([node.type.shape for node in nodes])
    node, labels = nodes[0], rows[0]
    for index in range(1, len(nodes)):
        later = set(out).union(*rows[index + 1 :])
        both = dict.fromkeys([*labels, *rows[index]])
        kept = [label for label in both if label in later] if index < len(nodes) - 1 else out
        node, labels = product(node, nodes[index], labels, rows[index], kept, origin), kept
    node, labels = total(node, labels, set(out), origin)
    return transposed(node, labels, out, origin)


def _shown(text: object) -> str:
    return repr(text) if isinstance(text, str) and len(text) <= 100 else f"{type(text).__name__} of another form"
