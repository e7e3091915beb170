"""Where each constant lies: in the library's file, and in memory once it is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from convc import lower
from convc.build.memory import round_up
from convc.build.program import Expansion, Storage
from convc.ir import Array, Node
from convc.ops import Constant

Key = tuple[Node, lower.Packing | None]


@dataclass(frozen=True)
class Weights:
    """`data` is what the file holds, by offset; `places` where kernels find each packed constant."""

    data: list[tuple[int, Array]]
    file_bytes: int
    expansions: tuple[Expansion, ...]
    places: Mapping[Key, tuple[Storage, int]]


def place(constants: Sequence[Key]) -> Weights:
    """Places constants in the order given, once each."""
    data: list[tuple[int, Array]] = []
    places: dict[Key, tuple[Storage, int]] = {}
    expansions: list[Expansion] = []
    end = expanded = 0
    for node, packing in constants:
        if (node, packing) in places:
            continue
        assert isinstance(node.op, Constant), f"{node} is not a constant"
        value = packing.stored(node.op.value) if packing else node.op.value
        data.append((end, value))
        places[node, packing] = (Storage.WEIGHTS, end)
        if packing and (made := packing.expansion(node.type.shape)):
            planes = len(made.rows[0]) * len(made.columns[0])
            expansions.append(Expansion(end, expanded, value.size // planes, made))
            places[node, packing] = (Storage.EXPANDED, expanded)
            expanded += round_up(expansions[-1].bytes)
        end += round_up(value.nbytes)
    return Weights(data, end, tuple(expansions), places)
