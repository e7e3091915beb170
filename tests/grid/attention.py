"""Attention layers, each called in all the ways that a call has."""

from __future__ import annotations

from typing import Any

from convc.ir import Shape
from tests.grid.space import CHANNELS, SIZES, Arguments, Rng, Space, pick, spatial


def _plain(layer: Any, inputs: list[Any]) -> list[Any]:
    """As a list of two and three, causal and not, with and without the scores; with them first, or Keras loses them."""
    query, value, key = inputs
    return [
        *layer([query, value, key], return_attention_scores=True),
        layer([query, key]),
        layer([query, value, key]),
        layer([query, key], use_causal_mask=True),
    ]


def _heads(layer: Any, inputs: list[Any]) -> list[Any]:
    """Keys that are the values and keys of their own, causal and not, with and without the scores."""
    query, value, key = inputs
    made = [*layer(query, value, key=key, return_attention_scores=True)]
    if getattr(layer, "value_dim", None) != getattr(layer, "key_dim", None):
        return made  # Keras's fused attention in jax refuses values of another size than the keys
    made += [layer(query, value, key)]
    if query.ndim == 3:
        made += [layer(query, value, key, use_causal_mask=True)]
    return made


def _sequences(rng: Rng, a: Arguments) -> list[Shape]:
    lead = spatial(rng, int(rng.integers(2)), most=4)
    features, keys = pick(rng, CHANNELS), pick(rng, SIZES)
    return [(*lead, pick(rng, SIZES), features), (*lead, keys, pick(rng, CHANNELS)), (*lead, keys, features)]


def _images(rng: Rng, a: Arguments) -> list[Shape]:
    """Sequences, or images where the axes to attend over ask for them."""
    axes = a["attention_axes"]
    rank = 1 if axes in (None, 1, (1,)) else 2
    extents, others = spatial(rng, rank, most=5), spatial(rng, rank, most=5)
    attended = {1, 2} if rank == 2 and axes in ((1, 2), [2, 1]) else {2} if rank == 2 else {1}
    fixed = [others[axis] if axis + 1 in attended else extents[axis] for axis in range(rank)]
    return [(*extents, pick(rng, CHANNELS)), (*fixed, pick(rng, CHANNELS)), (*fixed, pick(rng, CHANNELS))]


def _grouped(rng: Rng, a: Arguments) -> list[Shape]:
    features, keys = pick(rng, CHANNELS), pick(rng, SIZES)
    return [(pick(rng, SIZES), features), (keys, features), (keys, pick(rng, CHANNELS))]


SPACES = [
    Space("Attention", {"use_scale": (False, True), "score_mode": ("dot", "concat")}, _sequences, apply=_plain),
    Space("AdditiveAttention", {"use_scale": (True, False)}, _sequences, apply=_plain),
    Space(
        "MultiHeadAttention",
        {
            "num_heads": (1, 2, 3),
            "key_dim": (1, 4, 17),
            "value_dim": (None, 3, 16),
            "use_bias": (True, False),
            "use_gate": (False, True),
            "output_shape": (None, 5, (2, 3), [4]),
            "attention_axes": (None, 1, (1,), (1, 2), [2, 1], -2, (2,)),
            "sliding_window": (None, 1, 3),
            "flash_attention": (None, False),
        },
        _images,
        suits=lambda a: a["sliding_window"] is None or a["attention_axes"] in (None, 1, (1,)),
        apply=_heads,
    ),
    Space(
        "GroupQueryAttention",
        {
            "head_dim": (1, 4, 17),
            "num_query_heads": (2, 4, 6),
            "num_key_value_heads": (1, 2),
            "use_bias": (True, False),
            "use_gate": (False, True),
            "sliding_window": (None, 1, 3),
            "flash_attention": (None, False),
        },
        _grouped,
        apply=_heads,
    ),
]
