"""Straight-line programs: few additions for the product of a constant matrix and a vector.

Greedy elimination of common subexpressions, as in Winograd's transforms is usual: Vincent et al., "On Improving the
Numerical Stability of Winograd Convolutions" (2017), writes such programs by hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations

Matrix = tuple[tuple[float, ...], ...]
Pair = tuple[int, int]
Row = dict[int, float]
Terms = tuple[tuple[int, float], ...]
"""A sum: numbers of values, and what each is multiplied by."""


@dataclass(frozen=True)
class Program:
    """Values are numbered: first the inputs, then one for each step. A row of no terms is an output of zero."""

    inputs: int
    steps: tuple[Terms, ...]
    outputs: tuple[Terms, ...]

    @property
    def operations(self) -> int:
        """Additions, multiplications, or both at once, of vectors."""
        return sum(_operations(terms) for terms in (*self.steps, *self.outputs))


@cache
def program(matrix: Matrix) -> Program:
    """A program for matrix times vector.

    Two rows may become the half of their sum and of their difference, as rows for points p and -p have in common.
    """
    rows = [{at: value for at, value in enumerate(row) if value} for row in matrix]
    width = len(matrix[0])
    best: Program | None = None
    joined: tuple[Pair, ...] = ()
    better: tuple[Pair, ...] | None = ()
    while better is not None:
        joined, better = better, None
        best = _shared(rows, width, joined)
        fewest = best.operations
        free = set(range(len(rows))) - {row for pair in joined for row in pair}
        for pair in combinations(sorted(free), 2):
            made = _shared(rows, width, (*joined, pair))
            if made.operations < fewest:
                fewest, better = made.operations, (*joined, pair)
    assert best is not None
    return best


def _operations(terms: Terms) -> int:
    ones = any(abs(value) == 1 for _, value in terms)
    return max(len(terms) - ones, 0)


def _shared(rows: list[Row], width: int, joined: tuple[Pair, ...]) -> Program:
    """The program in which the rows of each pair of `joined` are made of their half sum and half difference."""
    work = [dict(row) for row in rows]
    scales = {}
    for a, b in joined:
        half, rest = _combined(rows[a], rows[b], 1.0), _combined(rows[a], rows[b], -1.0)
        scales[a] = next(iter(rest.values()), 1.0)
        work[a], work[b] = half, {at: value / scales[a] for at, value in rest.items()}
    steps: list[Terms] = []
    while True:
        counts = Counter(pair for row in work for pair in _pairs(row))
        if not counts:
            break
        (a, b, ratio), times = max(counts.items(), key=lambda item: (item[1], abs(item[0][2]) == 1, item[0]))
        if times < 2:
            break
        new = width + len(steps)
        steps.append(((a, 1.0), (b, ratio)))
        for row in work:
            if (a, b, ratio) in set(_pairs(row)):
                row[new] = row.pop(a)
                del row[b]
    outputs = [_ordered(row) for row in work]
    for a, b in joined:
        first = width + len(steps)
        steps += [outputs[a], outputs[b]]
        outputs[a] = ((first, 1.0), (first + 1, scales[a]))
        outputs[b] = ((first, 1.0), (first + 1, -scales[a]))
    return Program(width, tuple(steps), tuple(outputs))


def _combined(a: Row, b: Row, sign: float) -> Row:
    """Half of a + sign * b, without its zeros."""
    both = {at: (a.get(at, 0.0) + sign * b.get(at, 0.0)) / 2 for at in sorted({*a, *b})}
    return {at: value for at, value in both.items() if value}


def _pairs(row: Row) -> Iterator[tuple[int, int, float]]:
    for a, b in combinations(sorted(row), 2):
        yield a, b, row[b] / row[a]


def _ordered(row: Row) -> Terms:
    """Terms that need no multiplication first."""
    return tuple(sorted(row.items(), key=lambda term: (term[1] != 1, term[0])))
