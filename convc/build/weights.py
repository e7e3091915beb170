"""Where each constant lies: in the library's file, and in memory once it is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from convc import lower
from convc.build.memory import round_up
from convc.build.program import Expansion
from convc.ir import Array, Node
from convc.ops import Constant

Key = tuple[Node, lower.Packing | None]


@dataclass(frozen=True)
class Weights:
    """`data` is what the file holds, by offset; `offsets` where kernels find each packed constant in memory."""

    data: list[tuple[int, Array]]
    file_bytes: int
    expansions: tuple[Expansion, ...]
    offsets: Mapping[Key, int]


def place(constants: Sequence[Key]) -> Weights:
    """Places constants in the order given, once each: those that are stored as they are read before all others."""
    plain: list[tuple[int, Array]] = []
    offsets: dict[Key, int] = {}
    compact: dict[Key, Array] = {}
    end = 0
    for node, packing in constants:
        key = (node, packing)
        if key in offsets or key in compact:
            continue
        assert isinstance(node.op, Constant), f"{node} is not a constant"
        if packing and packing.is_expanded:
            compact[key] = packing.stored(node.op.value)
            continue
        value = packing.stored(node.op.value) if packing else node.op.value
        offsets[key] = end
        plain.append((end, value))
        end += round_up(value.nbytes)
    source = target = end
    expansions = []
    for key, value in compact.items():
        expansion = Expansion(source, target, value.size // 9)
        expansions.append(expansion)
        plain.append((source, value))
        offsets[key] = target
        source += round_up(value.nbytes)
        target += round_up(expansion.bytes)
    return Weights(plain, source, tuple(expansions), offsets)
