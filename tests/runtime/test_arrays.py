from __future__ import annotations

import numpy as np
import pytest

from convc.artifact import TensorSpec
from convc.errors import ShapeError
from convc.runtime import arrays

X = TensorSpec("x", (2, 3), "float32")
N = TensorSpec("n", (4,), "int32")
SCALAR = TensorSpec("s", (), "float32")

WANT = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize(
    "value",
    [
        WANT,
        WANT.astype(np.float64),
        WANT.astype(np.float16),
        WANT.astype(">f4"),
        WANT.astype(">f8"),
        WANT.astype(np.uint8),
        WANT.astype(np.int64),
        np.asfortranarray(WANT),
        np.repeat(WANT, 2, axis=1)[:, ::2],
        WANT[::-1, ::-1].copy()[::-1, ::-1],
        WANT.tolist(),
    ],
)
def test_what_casts_is_made_dense(value: object) -> None:
    (result,) = arrays.prepare((X,), (value,))
    assert result.dtype == np.float32
    assert result.dtype.isnative
    assert result.flags.c_contiguous
    assert np.array_equal(result, WANT)


def test_what_fits_is_not_copied() -> None:
    (result,) = arrays.prepare((X,), (WANT,))
    assert np.shares_memory(result, WANT)


def test_read_only_and_broadcast_arrays() -> None:
    broadcast = np.broadcast_to(np.float32(3), (2, 3))
    (result,) = arrays.prepare((X,), (broadcast,))
    assert np.array_equal(result, np.full((2, 3), 3))


def test_a_scalar_keeps_its_rank() -> None:
    (result,) = arrays.prepare((SCALAR,), (2.5,))
    assert result.shape == ()
    assert result == 2.5


@pytest.mark.parametrize(
    "value", [WANT.astype(np.complex64), WANT.astype(str), WANT.astype(object), WANT.astype("M8[s]")]
)
def test_a_dtype_that_does_not_cast(value: object) -> None:
    with pytest.raises(ShapeError, match="input 'x': wrong dtype: expected float32"):
        arrays.prepare((X,), (value,))


def test_floats_for_an_integer_input() -> None:
    with pytest.raises(ShapeError, match=r"input 'n': wrong dtype: expected int32 .*, got float64"):
        arrays.prepare((N,), (np.zeros(4),))


@pytest.mark.parametrize("value", [np.array([0, 1, 2, 1 << 31]), np.array([0, 1, 2, (1 << 32) - 1], np.uint64)])
def test_integers_out_of_range(value: object) -> None:
    with pytest.raises(ShapeError, match="input 'n': values out of range: expected values that int32 can hold"):
        arrays.prepare((N,), (value,))


def test_integers_in_range() -> None:
    (result,) = arrays.prepare((N,), (np.array([-1, 0, 1, (1 << 31) - 1]),))
    assert result.dtype == np.int32
    assert result.tolist() == [-1, 0, 1, (1 << 31) - 1]


def test_a_float_that_would_become_infinite() -> None:
    value = WANT.astype(np.float64)
    value[0, 0] = 1e300
    with pytest.raises(ShapeError, match="values out of range"):
        arrays.prepare((X,), (value,))
    value[0, 0] = np.inf
    value[1, 1] = np.nan
    (result,) = arrays.prepare((X,), (value,))
    assert np.isinf(result[0, 0])
    assert np.isnan(result[1, 1])


@pytest.mark.parametrize("shape", [(3, 2), (6,), (1, 2, 3), (2, 4), ()])
def test_a_wrong_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"input 'x': wrong shape: expected \(2, 3\), got \("):
        arrays.prepare((X,), (np.zeros(shape, np.float32),))


def test_what_is_no_array() -> None:
    with pytest.raises(ShapeError, match="input 'x'"):
        arrays.prepare((X,), ([[1, 2, 3], [4]],))


def test_every_problem_is_named() -> None:
    with pytest.raises(ShapeError) as caught:
        arrays.prepare((X, N), (np.zeros(2), np.zeros(4)))
    assert [problem.subject for problem in caught.value.problems] == ["input 'x'", "input 'n'"]


def test_a_wrong_number_of_arrays() -> None:
    with pytest.raises(ShapeError, match=r"expected 2 \(x: float32\[2, 3\]; n: int32\[4\]\), got 1"):
        arrays.prepare((X, N), (WANT,))


def test_by_name() -> None:
    assert arrays.by_name("input", (X, N), {"n": 1, "x": 2}) == [2, 1]
    for wrong in ({"x": 1}, {}, {"x": 1, "n": 2, "more": 3}, {"x": 1, 7: 2}):
        with pytest.raises(ShapeError, match="inputs: wrong names: expected x, n, got"):
            arrays.by_name("input", (X, N), wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("spec", [X, N, SCALAR])
def test_outputs_are_aligned_and_writable(spec: TensorSpec) -> None:
    for _ in range(20):
        result = arrays.allocate(spec)
        assert result.ctypes.data % 64 == 0
        assert (result.shape, result.dtype) == (spec.shape, np.dtype(spec.dtype))
        assert result.flags.writeable
        assert result.flags.c_contiguous
