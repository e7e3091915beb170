"""Transposed convolutions, and convolutions as functions with constant kernels."""

from __future__ import annotations

import numpy as np

from convc.ir import Array, Shape
from tests.grid.conv import ACTIVATIONS, FORMATS, one_is_one, window
from tests.grid.space import CHANNELS, Arguments, Made, Rng, Space, each, ordered, pick, spatial


def _suits(a: Arguments) -> bool:
    """Keras refuses other combinations."""
    rank = 3
    added = each(a["output_padding"] or 0, rank)
    return one_is_one(a) and all(extra < s for extra, s in zip(added, each(a["strides"], rank), strict=False))


def _shape(rng: Rng, a: Arguments, rank: int) -> Shape:
    """One element with `output_padding` may give none."""
    extents = spatial(rng, rank, 1 if a["output_padding"] is None else 2, most=5)
    return ordered(a, extents, pick(rng, CHANNELS))


def _transposed(rank: int) -> Space:
    kernels = ((4,), (2, 5), (1, 2, 3))[rank - 1]
    steps = ((3,), (1, 3), (2, 1, 3))[rank - 1]
    added = ((2,), (0, 2), (1, 0, 2))[rank - 1]
    return Space(
        f"Conv{rank}DTranspose",
        {
            "filters": (1, 3, 5, 16, 17),
            "kernel_size": (1, 2, 3, 4, 5, kernels, list(kernels)),
            "strides": (1, 2, 3, steps, list(steps)),
            "padding": ("valid", "same", "SAME", "Valid"),
            "output_padding": (None, 0, 1, added, list(added)),
            "data_format": FORMATS,
            "dilation_rate": (1, 2, 3, ((2,), (1, 2), (2, 1, 1))[rank - 1]),
            "activation": ACTIVATIONS,
            "use_bias": (True, False),
        },
        lambda rng, a: _shape(rng, a, rank),
        suits=_suits,
    )


def _kernel(*shape: int) -> Made:
    def make() -> Array:
        return np.random.default_rng(len(shape)).normal(0, 0.5, shape).astype(np.float32)

    return Made(f"array{shape}", make)


def _function(name: str, rank: int, kernels: dict[str, tuple[object, ...]]) -> Space:
    """A function on 4 channels; it may have strides and dilation together."""
    window_of = {"kernel_size": (3, 2, 2)[:rank]}
    return Space(
        f"keras.ops.{name}",
        {
            **kernels,
            "strides": (1, 2, (2,) * rank, [3] * rank),
            "padding": ("valid", "same", "SAME"),
            "data_format": FORMATS,
            "dilation_rate": (1, 2, (1, 3)[:rank]),
        },
        lambda rng, a: ordered(a, window({**a, **window_of}, rng, rank), 4),
    )


SPACES = [
    *(_transposed(rank) for rank in (1, 2, 3)),
    _function("conv", 2, {"kernel": (_kernel(3, 2, 4, 5), _kernel(1, 1, 4, 17))}),
    _function("depthwise_conv", 2, {"kernel": (_kernel(3, 2, 4, 1), _kernel(3, 2, 4, 3))}),
    _function(
        "separable_conv",
        2,
        {
            "depthwise_kernel": (_kernel(3, 2, 4, 1), _kernel(2, 1, 4, 1)),
            "pointwise_kernel": (_kernel(1, 1, 4, 5), _kernel(1, 1, 4, 16)),
        },
    ),
]
