"""Products of tensors: Dense, EinsumDense, Dot, and the functions of keras.ops."""

from __future__ import annotations

from typing import Any

from tests.grid.conv import ACTIVATIONS
from tests.grid.space import CHANNELS, SIZES, Arguments, Rng, Space, pick, spatial

QUANTIZED = "a quantized layer has other weights"
EXTENTS = {"b": 5, "c": 7, "d": 6, "e": 3, "f": 2}
"""What the letters of an equation stand for; "a" is the batch."""

EQUATIONS: dict[str, tuple[tuple[Any, ...], tuple[str | None, ...]]] = {
    "ab,bd->ad": ((6, (6,)), ("d", None)),
    "abc,cd->abd": (((None, 6), (5, 6), [None, 6]), ("d", None)),
    "abc,cd->adb": (((6, None),), ("d", None)),
    "abc,cde->abde": (((None, 6, 3),), ("de", "e", None)),
    "abc,bcd->abd": (((5, 6),), ("bd", "b", "d")),
    "abc,bd->acd": (((None, 6),), ("d",)),
    "abc,cd->ad": ((6,), ("d", None)),
    "abcf,cfe->abe": (((None, 3),), ("e", None)),
    "...c,cd->...d": ((6, (6,)), ("d", None)),
    "...bc,cde->...bde": (((None, 6, 3),), ("de", "e")),
    "ab...,bd->ad...": (((6,),), ("d", None)),
}
"""Equations with what suits them of `output_shape` and `bias_axes`."""

SHAPES = tuple({repr(shape): shape for shapes, _ in EQUATIONS.values() for shape in shapes}.values())
AXES = tuple(dict.fromkeys(axes for _, names in EQUATIONS.values() for axes in names))


def _einsum_suits(a: Arguments) -> bool:
    shapes, axes = EQUATIONS[a["equation"]]
    return any(repr(a["output_shape"]) == repr(shape) for shape in shapes) and a["bias_axes"] in axes


def _einsum_shape(rng: Rng, a: Arguments) -> tuple[int, ...]:
    letters = a["equation"].split(",")[0]
    own = tuple(EXTENTS[letter] for letter in letters.replace("...", "") if letter != "a")
    if "..." not in letters:
        return own
    others = spatial(rng, int(rng.integers(3)), most=4)
    return (*others, *own) if letters.startswith("...") else (*own, *others)


DOTS: dict[Any, tuple[tuple[int, ...], tuple[int, ...]]] = {
    1: ((5,), (5,)),
    2: ((3, 5), (4, 5)),
    -1: ((3, 5), (5,)),
    (1, 2): ((5, 3), (4, 5)),
    (2, 1): ((3, 5), (5,)),
    (-1, -2): ((2, 3, 5), (5, 4)),
    (3, 1): ((2, 3, 5), (5, 4, 2)),
}
"""Values of `axes`, each with shapes of its own."""


def _shared(rng: Rng, a: Arguments) -> list[tuple[int, ...]]:
    """Two tensors whose product over the last axis and the last but one is defined."""
    lead = spatial(rng, int(rng.integers(2)), most=4)
    depth = pick(rng, CHANNELS)
    return [(*lead, pick(rng, SIZES), depth), (*lead, depth, pick(rng, CHANNELS))]


SPACES = [
    Space(
        "Dense",
        {
            "units": (1, 2, 5, 16, 17, 33),
            "activation": ACTIVATIONS,
            "use_bias": (True, False),
            "lora_rank": (None, 2),
            "lora_alpha": (None, 3),
        },
        lambda rng, a: (*spatial(rng, int(rng.integers(4))), pick(rng, CHANNELS)),
        refused={"quantization_config": QUANTIZED},
    ),
    Space(
        "EinsumDense",
        {
            "equation": tuple(EQUATIONS),
            "output_shape": SHAPES,
            "bias_axes": AXES,
            "activation": ACTIVATIONS,
            "lora_rank": (None, 2),
            "lora_alpha": (None, 3),
        },
        _einsum_shape,
        suits=_einsum_suits,
        refused={"quantization_config": QUANTIZED, "gptq_unpacked_column_size": QUANTIZED},
    ),
    Space(
        "Dot",
        {"axes": tuple(DOTS), "normalize": (False, True)},
        lambda rng, a: list(DOTS[a["axes"]]),
    ),
    Space("keras.ops.matmul", {}, _shared),
    Space("keras.ops.outer", {}, lambda rng, a: [(pick(rng, SIZES),), (pick(rng, CHANNELS),)]),
    Space("keras.ops.inner", {}, lambda rng, a: [(5, 7), (pick(rng, SIZES), 7)]),
    Space("keras.ops.vdot", {}, lambda rng, a: [(5, 4), (4, 5)]),
    Space("keras.ops.dot", {}, lambda rng, a: [(5, 7), (7, pick(rng, CHANNELS))]),
]
