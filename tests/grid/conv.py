"""Convolutions: plain, depthwise, separable."""

from __future__ import annotations

from tests.grid.space import CHANNELS, Arguments, Made, Rng, Space, each, ordered, pick, spatial
from tests.support.keras import keras

FORMATS = (None, "channels_last", "channels_first")
ACTIVATIONS = (None, "relu", Made("layers.LeakyReLU()", lambda: keras.layers.LeakyReLU()), "softmax")


def one_is_one(a: Arguments) -> bool:
    """Keras refuses strides and dilation above one together."""
    rank = 3
    return max(each(a["strides"], rank)) == 1 or max(each(a["dilation_rate"], rank)) == 1


def reach(a: Arguments, rank: int) -> int:
    """The smallest extent on which every window fits, whatever its padding."""
    kernel, dilation = each(a["kernel_size"], rank), each(a["dilation_rate"], rank)
    return max((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))


def window(a: Arguments, rng: Rng, rank: int) -> tuple[int, ...]:
    """Extents of an input that the window fits into."""
    least = 1 if str(a["padding"]).lower() in ("same", "causal") else reach(a, rank)
    return spatial(rng, rank, least)


def _forms(rank: int) -> dict[str, tuple[object, ...]]:
    """Values of the arguments that all convolutions of a rank share, but for causal padding."""
    steps = ((2,), (1, 2), (2, 1, 1))[rank - 1]
    kernels = ((4,), (2, 3), (1, 2, 3))[rank - 1]
    return {
        "kernel_size": (1, 2, 3, kernels, list(kernels)),
        "strides": (1, 2, 3, steps, list(steps)),
        "padding": ("valid", "same", "SAME"),
        "data_format": FORMATS,
        "dilation_rate": (1, 2, 3, steps),
        "activation": ACTIVATIONS,
        "use_bias": (True, False),
    }


def _conv(rank: int) -> Space:
    forms = _forms(rank)
    if rank == 1:
        forms["padding"] += ("causal", "Causal")

    def shape(rng: Rng, a: Arguments) -> tuple[int, ...]:
        channels = pick(rng, CHANNELS if a["groups"] == 1 else (a["groups"], 2 * a["groups"], 5 * a["groups"]))
        return ordered(a, window(a, rng, rank), channels)

    return Space(
        f"Conv{rank}D",
        {"filters": (1, 3, 6, 10, 16, 17, 33), **forms, "groups": (1, 2, 3)},
        shape,
        suits=lambda a: one_is_one(a) and a["filters"] % a["groups"] == 0,
    )


def _depthwise(rank: int) -> Space:
    return Space(
        f"DepthwiseConv{rank}D",
        {"depth_multiplier": (1, 2, 3), **_square(_forms(rank))},
        lambda rng, a: ordered(a, window(a, rng, rank), pick(rng, CHANNELS)),
        suits=one_is_one,
    )


def _separable(rank: int) -> Space:
    return Space(
        f"SeparableConv{rank}D",
        {"filters": (1, 5, 16, 17), "depth_multiplier": (1, 2, 3), **_square(_forms(rank))},
        lambda rng, a: ordered(a, window(a, rng, rank), pick(rng, CHANNELS)),
        suits=one_is_one,
    )


def _square(forms: dict[str, tuple[object, ...]]) -> dict[str, tuple[object, ...]]:
    """Without strides that differ: XLA has no such depthwise convolution."""
    return {**forms, "strides": (1, 2, (2,) * len(forms["kernel_size"][3]))}  # type: ignore[arg-type]


SPACES = [
    *(_conv(rank) for rank in (1, 2, 3)),
    *(make(rank) for make in (_depthwise, _separable) for rank in (1, 2)),
]
