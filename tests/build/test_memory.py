from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convc.build.memory import Lifetime, Plan, plan, round_up

_lifetimes = st.lists(
    st.builds(
        lambda size, first, length: Lifetime(size, first, first + length),
        st.integers(0, 5000),
        st.integers(0, 12),
        st.integers(0, 12),
    ),
    max_size=24,
)


def conflicts(lifetimes: list[Lifetime], result: Plan) -> list[tuple[int, int]]:
    """Pairs of tensors that share a byte while both are alive."""
    spans = [(o, o + t.bytes) for o, t in zip(result.offsets, lifetimes, strict=True)]
    return [
        (i, j)
        for i, j in combinations(range(len(spans)), 2)
        if lifetimes[i].first <= lifetimes[j].last
        and lifetimes[j].first <= lifetimes[i].last
        and spans[i][0] < spans[j][1]
        and spans[j][0] < spans[i][1]
    ]


@settings(derandomize=True, deadline=None)
@given(_lifetimes)
def test_no_two_live_tensors_overlap(lifetimes: list[Lifetime]) -> None:
    result = plan(lifetimes)
    assert conflicts(lifetimes, result) == []
    assert all(offset % 64 == 0 for offset in result.offsets)
    assert all(o + t.bytes <= result.arena_bytes for o, t in zip(result.offsets, lifetimes, strict=True))
    assert result.floor_bytes <= result.arena_bytes <= result.activation_bytes


def test_the_property_sees_an_overlap() -> None:
    lifetimes = [Lifetime(64, 0, 1), Lifetime(64, 1, 2)]
    assert conflicts(lifetimes, Plan((0, 0), 64, 128, 128)) == [(0, 1)]


def test_a_chain_needs_its_two_largest_neighbours() -> None:
    sizes = (1000, 4000, 2000, 3000)
    result = plan([Lifetime(size, i, i + 1) for i, size in enumerate(sizes)])
    assert result.arena_bytes == result.floor_bytes == round_up(4000) + round_up(2000)
    assert result.activation_bytes == sum(map(round_up, sizes))


def test_a_skip_connection_stays_where_it_is() -> None:
    skip, inner, deep, joined = Lifetime(640, 0, 3), Lifetime(640, 1, 2), Lifetime(640, 2, 3), Lifetime(640, 3, 4)
    result = plan([skip, inner, deep, joined])
    assert result.arena_bytes == result.floor_bytes == 3 * 640
    assert result.offsets[3] == result.offsets[1]


def test_the_smallest_gap_that_fits_is_taken() -> None:
    wall = Lifetime(6400, 0, 9)
    early, late = Lifetime(1280, 0, 1), Lifetime(640, 0, 1)
    result = plan([wall, early, late, Lifetime(600, 2, 3)])
    assert result.arena_bytes == 6400 + 1280 + 640
    assert result.offsets[3] >= 6400


def test_nothing_to_plan() -> None:
    assert plan([]) == Plan((), 0, 0, 0)


def test_a_tensor_that_is_read_before_it_is_written_is_refused() -> None:
    with pytest.raises(AssertionError):
        plan([Lifetime(64, 3, 2)])
