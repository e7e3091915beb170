"""Where constants lie in the file, and which are made at load."""

from __future__ import annotations

import numpy as np
import pytest

from convc.build.program import ALIGNMENT, Expansion, Storage
from convc.build.weights import Key, place
from convc.errors import UnsupportedError
from convc.ir import DType, Node, Origin
from convc.lower import Packing, SeparableMap
from convc.lower.conv import PackedKernel
from convc.lower.cook_toom import transforms
from convc.lower.winograd import PackedWinograd
from convc.ops import Constant, constant


def weights(*shape: int) -> Node:
    value = np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)
    return constant(value, Origin("weights", "Constant"))


BIAS, SMALL, LARGE = weights(5), weights(3, 3, 5, 8), weights(3, 3, 16, 32)
DIRECT, WINOGRAD = PackedKernel(8), PackedWinograd(8, (4, 4))
TRANSFORM = SeparableMap(transforms(4, 3).filter, transforms(4, 3).filter)


def key(node: Node, packing: Packing | None = None, dtype: DType = DType.FLOAT32) -> Key:
    return Key(node, packing, dtype)


KEYS = [key(BIAS), key(SMALL, WINOGRAD), key(LARGE, DIRECT), key(LARGE, WINOGRAD)]


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
        key(BIAS): (Storage.WEIGHTS, 0),
        key(SMALL, WINOGRAD): (Storage.EXPANDED, 0),
        key(LARGE, DIRECT): (Storage.WEIGHTS, offsets[2]),
        key(LARGE, WINOGRAD): (Storage.EXPANDED, 5760),
    }


def test_targets_are_aligned() -> None:
    """36 planes of 5 float32 are 720 bytes; what follows is at the next multiple of 64."""
    odd = weights(3, 3, 1, 5)
    _, second = place([key(odd, PackedWinograd(5, (4, 4))), key(LARGE, WINOGRAD)]).expansions
    assert second.target == 768


def test_shared_constants_are_placed_once() -> None:
    """The same constant, packed alike by equal packings, whoever made them."""
    once, twice = (
        place(KEYS),
        place([*KEYS, key(LARGE, PackedWinograd(8, (4, 4))), key(BIAS), key(LARGE, PackedKernel(8))]),
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
    (expansion,) = place([key(weights(1, 7, 16, 8), PackedWinograd(8, (1, 3)))]).expansions
    assert (expansion.count, expansion.source_bytes, expansion.bytes) == (128, 7 * 128 * 4, 9 * 128 * 4)
    assert expansion.map.rows == ((1.0,),)


@pytest.mark.parametrize("dtype", [DType.FLOAT16, DType.BFLOAT16])
def test_weights_are_rounded_to_the_nearest_when_they_are_packed(dtype: DType) -> None:
    placed = place([key(LARGE, DIRECT, dtype)])
    ((offset, data),) = placed.data
    assert isinstance(LARGE.op, Constant)
    exact = DIRECT.apply(LARGE.op.value)
    assert (offset, data.shape, data.dtype) == (0, exact.shape, dtype.numpy)
    assert placed.file_bytes == data.nbytes == exact.nbytes // 2
    wide = data.astype(np.float64)
    below, above = (np.nextafter(data, data.dtype.type(end)).astype(np.float64) for end in ("-inf", "inf"))
    assert ((below + wide) / 2 <= exact).all()
    assert (exact <= (above + wide) / 2).all()


def test_halves_become_even_and_what_is_not_finite_stays() -> None:
    """1 + 2^-11 lies between 1 and 1 + 2^-10, 1 + 3 * 2^-11 between that and 1 + 2^-9."""
    value = np.array(
        [1 + 2**-11, 1 + 3 * 2**-11, -1 - 2**-11, np.inf, -np.inf, np.nan, -0.0, 2**-25, 65519], np.float32
    )
    node = constant(value, Origin("w", "Dense"))
    ((_, data),) = place([key(node, None, DType.FLOAT16)]).data
    np.testing.assert_array_equal(data, np.array([1, 1 + 2**-9, -1, np.inf, -np.inf, np.nan, 0, 0, 65504], np.float16))
    assert np.signbit(data[6])


def test_a_constant_may_be_stored_in_two_types() -> None:
    placed = place([key(BIAS), key(BIAS, None, DType.FLOAT16), key(BIAS)])
    (wide, first), (narrow, second) = placed.data
    assert [first.dtype, second.dtype] == [DType.FLOAT32.numpy, DType.FLOAT16.numpy]
    assert placed.places[key(BIAS)] == (Storage.WEIGHTS, wide)
    assert placed.places[key(BIAS, None, DType.FLOAT16)] == (Storage.WEIGHTS, narrow)
    assert (wide, narrow, placed.file_bytes) == (0, 64, 128)


def test_integers_stay_what_they_are() -> None:
    value = np.array([1, 1 << 30], np.int32)
    ((_, data),) = place([key(constant(value, Origin("places", "Take")), None, DType.INT32)]).data
    assert data.dtype == np.int32
    np.testing.assert_array_equal(data, value)


def test_weights_out_of_range_are_refused() -> None:
    node = constant(np.array([1.0, -7e4, 65520.0], np.float32), Origin("conv_3", "Conv2D"))
    with pytest.raises(UnsupportedError) as caught:
        place([key(node, None, DType.FLOAT16)])
    assert str(caught.value) == (
        "layer 'conv_3' (Conv2D): a weight is out of the range of float16: expected magnitudes up to 65504, got 70000 "
        "(compile for bfloat16)"
    )
    ((_, data),) = place([key(node, None, DType.BFLOAT16)]).data
    assert np.isfinite(data.astype(np.float32)).all()


def test_even_bfloat16_has_an_end() -> None:
    node = constant(np.array([np.finfo(np.float32).max], np.float32), Origin("w", "Dense"))
    with pytest.raises(UnsupportedError, match="compile for float32"):
        place([key(node, None, DType.BFLOAT16)])
