"""Where constants lie in the file, and which are made at load."""

from __future__ import annotations

import numpy as np

from convc.build.program import ALIGNMENT, Expansion, Storage
from convc.build.weights import Key, place
from convc.ir import Node, Origin
from convc.lower import SeparableMap
from convc.lower.conv import PackedKernel
from convc.lower.cook_toom import transforms
from convc.lower.winograd import PackedWinograd
from convc.ops import constant


def weights(*shape: int) -> Node:
    value = np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)
    return constant(value, Origin("weights", "Constant"))


BIAS, SMALL, LARGE = weights(5), weights(3, 3, 5, 8), weights(3, 3, 16, 32)
DIRECT, WINOGRAD = PackedKernel(8), PackedWinograd(8, (4, 4))
TRANSFORM = SeparableMap(transforms(4, 3).filter, transforms(4, 3).filter)
KEYS: list[Key] = [(BIAS, None), (SMALL, WINOGRAD), (LARGE, DIRECT), (LARGE, WINOGRAD)]


def test_offsets_are_aligned_and_ascend() -> None:
    placed = place(KEYS)
    offsets = [offset for offset, _ in placed.data]
    assert all(offset % ALIGNMENT == 0 for offset in offsets)
    assert offsets[0] == 0
    ends = [offset + data.nbytes for offset, data in placed.data]
    for end, start in zip(ends, [*offsets[1:], placed.file_bytes], strict=True):
        assert end <= start < end + ALIGNMENT
    for position in (position for _, position in placed.places.values()):
        assert position % ALIGNMENT == 0


def test_the_file_holds_what_is_not_expanded() -> None:
    placed = place(KEYS)
    bias, small, direct, large = (data for _, data in placed.data)
    np.testing.assert_array_equal(bias, np.random.default_rng(1).standard_normal(5).astype(np.float32))
    assert (small.size, direct.size, large.size) == (9 * 40, 9 * 512, 9 * 512)
    first, second = placed.expansions
    offsets = [offset for offset, _ in placed.data]
    # 36 planes of 40 float32 are 5760 bytes, a multiple of 64.
    assert first == Expansion(source=offsets[1], target=0, count=40, map=TRANSFORM)
    assert second == Expansion(source=offsets[3], target=5760, count=512, map=TRANSFORM)
    assert dict(placed.places) == {
        (BIAS, None): (Storage.WEIGHTS, 0),
        (SMALL, WINOGRAD): (Storage.EXPANDED, 0),
        (LARGE, DIRECT): (Storage.WEIGHTS, offsets[2]),
        (LARGE, WINOGRAD): (Storage.EXPANDED, 5760),
    }


def test_targets_are_aligned() -> None:
    """36 planes of 5 float32 are 720 bytes; what follows is at the next multiple of 64."""
    odd = weights(3, 3, 1, 5)
    _, second = place([(odd, PackedWinograd(5, (4, 4))), (LARGE, WINOGRAD)]).expansions
    assert second.target == 768


def test_shared_constants_are_placed_once() -> None:
    """The same constant, packed alike by equal packings, whoever made them."""
    once, twice = (
        place(KEYS),
        place([*KEYS, (LARGE, PackedWinograd(8, (4, 4))), (BIAS, None), (LARGE, PackedKernel(8))]),
    )
    assert [offset for offset, _ in once.data] == [offset for offset, _ in twice.data]
    assert once.places == twice.places
    assert once.expansions == twice.expansions
    assert once.file_bytes == twice.file_bytes


def test_nothing_to_place() -> None:
    placed = place([])
    assert (placed.data, placed.file_bytes, placed.expansions, dict(placed.places)) == ([], 0, (), {})


def test_a_window_of_one_row() -> None:
    """9 planes from 7 along one axis, one from one along the other."""
    (expansion,) = place([(weights(1, 7, 16, 8), PackedWinograd(8, (1, 3)))]).expansions
    assert (expansion.count, expansion.source_bytes, expansion.bytes) == (128, 7 * 128 * 4, 9 * 128 * 4)
    assert expansion.map.rows == ((1.0,),)
