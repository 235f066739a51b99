"""Intersection of interval sets with one interval and with many."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from worker.state.entry import Interval
from worker.transform.intervals import IntervalSet

bounds = st.builds(
    lambda low, width: Interval(low=low, high=low + width), st.integers(0, 20), st.integers(0, 5)
)


@given(st.lists(bounds | st.none(), max_size=5), bounds | st.none())
def test_a_set_intersects_what_one_of_its_intervals_does(
    asked: list[Interval | None], found: Interval | None
) -> None:
    def values(one: Interval | None) -> set[int]:
        return set(range(-1, 30)) if one is None else set(range(int(one.low), int(one.high) + 1))

    intervals = IntervalSet(asked)
    assert intervals.intersects(found) == any(values(one) & values(found) for one in asked)
    for one in asked:
        for other in asked:
            if values(one) & values(other):
                assert intervals.position(one) == intervals.position(other)


# One unknown interval intersects everything, so most sets have none.
@given(st.lists(bounds, max_size=5), st.lists(bounds | st.none(), max_size=9))
@example([None], [Interval(low=1, high=2), None])
@pytest.mark.parametrize(("kind", "few"), [(int, 0), (str, 0), (str, 9)])
def test_many_intervals_are_compared_as_each_is(
    kind: type[int] | type[str],
    few: int,
    asked: list[Interval | None],
    found: list[Interval | None],
) -> None:
    def of_kind(one: Interval | None) -> Interval | None:
        if one is None or kind is int:
            return one
        return Interval(low=f"{one.low:02d}", high=f"{one.high:02d}")

    asked, found = [of_kind(one) for one in asked], [of_kind(one) for one in found]
    limits = [
        pa.array([one and getattr(one, name) for one in found], pa.int64())
        if kind is int
        else pa.array([one and getattr(one, name) for one in found], pa.string())
        for name in ("low", "high")
    ]
    intervals = IntervalSet(asked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("worker.transform.intervals.VECTOR_COMPARE_INTERVALS", few)
        assert intervals.intersects_each(*limits).tolist() == [
            intervals.intersects(one) for one in found
        ]


def test_texts_and_integers_intersect() -> None:
    assert IntervalSet([Interval(low="a", high="b")]).intersects(Interval(low=1, high=2))
    assert not IntervalSet([Interval(low="a", high="b")]).intersects(Interval(low="c", high="d"))
    texts = pa.array(["a"]), pa.array(["b"])
    assert IntervalSet([Interval(low=1, high=2)]).intersects_each(*texts).tolist() == [True]
    numbers = pa.array([1]), pa.array([2])
    assert IntervalSet([Interval(low="a", high="b")]).intersects_each(*numbers).tolist() == [True]
