"""Layers and functions that move elements: cropping, repeating, reshaping, picking by indices."""

from __future__ import annotations

from typing import Any

import numpy as np

from convc.ir import Array, Shape
from tests.grid.space import CHANNELS, Arguments, Made, Rng, Space, each, ordered, pick, spatial

FORMATS = (None, "channels_last", "channels_first")


def indices(limit: int) -> Any:
    """Draws from -limit to limit - 1."""

    def feed(rng: Rng, shape: Shape) -> Array:
        return rng.integers(-limit, limit, shape).astype(np.int32)

    return feed


def _pairs(value: Any, rank: int) -> list[tuple[int, int]]:
    if rank == 1 and not isinstance(value, int):
        return [tuple(value)]
    return [(item, item) if isinstance(item, int) else tuple(item) for item in each(value, rank)]


def _cropping(rank: int) -> Space:
    forms: tuple[tuple[Any, ...], ...] = (
        (0, 1, (1, 0), [0, 2]),
        (0, 1, (1, 2), [2, 0], ((1, 0), (0, 2)), [[0, 0], [1, 2]]),
        (0, 1, (1, 0, 2), ((1, 0), (0, 2), (1, 1)), [[0, 1], [0, 0], [1, 2]]),
    )

    def shape(rng: Rng, a: Arguments) -> Shape:
        extents = tuple(low + high + pick(rng, (1, 2, 5)) for low, high in _pairs(a["cropping"], rank))
        return ordered(a, extents, pick(rng, CHANNELS))

    arguments: dict[str, tuple[Any, ...]] = {"cropping": forms[rank - 1]}
    return Space(f"Cropping{rank}D", arguments if rank == 1 else {**arguments, "data_format": FORMATS}, shape)


def _box(*extents: int) -> Any:
    return lambda rng, a: extents


EMBEDDING = {
    "input_dim": (1, 2, 50),
    "output_dim": (1, 3, 16, 17),
    "mask_zero": (False, True),
    "lora_rank": (None, 2),
    "lora_alpha": (None, 4),
}

LAYERS = [
    *(_cropping(rank) for rank in (1, 2, 3)),
    Space("RepeatVector", {"n": (1, 2, 7)}, lambda rng, a: (pick(rng, CHANNELS),)),
    Space("Flatten", {"data_format": FORMATS}, lambda rng, a: pick(rng, ((), (5,), (3, 4), (2, 3, 4), (2, 1, 3, 4)))),
    Space("Reshape", {"target_shape": ((24,), (-1,), (6, -1), [2, -1, 3], (1, 24, 1), (4, 6))}, _box(4, 6)),
    Space("Permute", {"dims": ((1, 2, 3), (2, 1, 3), (3, 1, 2), [3, 2, 1], (2, 3, 1))}, _box(4, 5, 3)),
    Space(
        "Embedding",
        {**EMBEDDING, "weights": (None,)},
        lambda rng, a: pick(rng, ((7,), (2, 3), (1,))),
        feed=lambda rng, shape: rng.integers(0, 1, shape).astype(np.int32),
        dtype="int32",
        refused={"quantization_config": "other weights; only None is supported"},
    ),
]

AXES = (0, 1, 2, -1)
MATRIX = _box(4, 6)
PAIRS = ((0, 1), (1, 2), (2, 1))
TABLE = Made("np.array([2, 0, -1])", lambda: np.array([2, 0, -1]))


def function(name: str, arguments: dict[str, Any], shapes: Any = MATRIX, **rest: Any) -> Space:
    """A function of tensors of which only the batch, which is open, has one size in all cases."""
    return Space(f"keras.ops.{name}", arguments, shapes, **rest)


def _inside(a: Arguments) -> bool:
    return bool(a["axis1"] % 3 != a["axis2"] % 3)


FUNCTIONS = [
    function("reshape", {"newshape": ((-1, 24), (-1, 6), [-1, 2, 12], -1)}),
    function("transpose", {"axes": (None, (0, 2, 1), [2, 0, 1], (1, -1, 0))}),
    function("swapaxes", {"axis1": (0, 1, -1), "axis2": (0, 2, -2)}),
    function("moveaxis", {"source": (0, [0, 1], -1), "destination": (2, [2, 0], 0)},
             suits=lambda a: isinstance(a["source"], list) == isinstance(a["destination"], list)),
    function("expand_dims", {"axis": (0, 1, -1, (1, 2), (0, -1))}),
    function("squeeze", {"axis": (1, -1, (1, 3), [2])}, lambda rng, a: (
        (1, 5, 1) if a["axis"] != [2] else (5, 1)
    )),
    function("flip", {"axis": (None, 0, 1, -1, (1, 2))}),
    function("rot90", {"k": (-1, 0, 1, 2, 3), "axes": PAIRS}),
    function("roll", {"shift": (0, 1, -2, 100, (1, 2)), "axis": (None, 1, -1, (1, 2))},
             suits=lambda a: isinstance(a["axis"], tuple) or not isinstance(a["shift"], tuple)),
    function("concatenate", {"axis": AXES}, lambda rng, a: [(4, 6)] * 2, listed=True),
    function("stack", {"axis": (*AXES, 3)}, lambda rng, a: [(4, 6)] * 3, listed=True),
    function("split", {"indices_or_sections": (1, 2, [1, 3], (2,)), "axis": (1, 2, -1)}),
    function("array_split", {"indices_or_sections": (1, 2, 3, 4), "axis": (1, 2, -1)}),
    function("unstack", {"num": (None, 5), "axis": (1, 2, -1)}, _box(5, 5)),
    function("tile", {"repeats": (1, 2, (1, 2, 3), (3, 1, 1, 2), [2, 1])}),
    function("repeat", {"repeats": (1, 2, 3), "axis": (None, *AXES)}),
    function("take", {"indices": (1, -1, [0, 2], [2, 1, 0], [1, 1, 3], [[0, 3], [-2, 1]], TABLE), "axis": (1, 2, -1)}),
    function("pad", {"pad_width": (0, 1, (1, 2), ((0, 0), (1, 2), (3, 0))), "constant_values": (None, -1.5),
                     "mode": ("constant", "edge", "reflect", "symmetric", "wrap")},
             suits=lambda a: a["mode"] == "constant" or (
                 a["constant_values"] is None and isinstance(a["pad_width"], tuple) and a["pad_width"] != (1, 2)
             )),
    function("diagonal", {"offset": (0, 1, -2), "axis1": (1, 2, -1), "axis2": (2, 1, -2)}, suits=_inside),
    function("trace", {"offset": (0, 1, -2), "axis1": (1, 2, -1), "axis2": (2, 1, -2)}, suits=_inside),
    function("tril", {"k": (0, 1, -2, 9)}),
    function("triu", {"k": (0, 1, -2, 9)}),
    function("full_like", {"fill_value": (0, 3, -1.5), "dtype": (None, "float32")}),
    function("one_hot", {"num_classes": (1, 4, 17), "axis": (-1, 1), "dtype": ("float32", "int32"), "sparse": (False,)},
             _box(5), feed=indices(6), dtype="int32", refused={"sparse": "True"}),
    function("cast", {"dtype": ("float32", "int32")},
             feed=lambda rng, shape: (9 * rng.standard_normal(shape)).astype(np.float32)),
    function("nn.depth_to_space", {"block_size": (2, 3), "data_format": ("channels_last", "channels_first")},
             lambda rng, a: ordered(a, spatial(rng, 2, most=4), a["block_size"] ** 2 * pick(rng, (1, 3, 5)))),
    function("nn.space_to_depth", {"block_size": (2, 3), "data_format": ("channels_last", "channels_first")},
             lambda rng, a: ordered(a, (2 * a["block_size"], 3 * a["block_size"]), pick(rng, (1, 3, 5)))),
]  # fmt: skip

SPACES = [*LAYERS, *FUNCTIONS]
