"""Islands: where the values of a column lie, when a few of them lie far from the others.

A range tells little of a column in which one id is mistyped: it covers all that lies between. So a
range is cut where a gap is wider than all the rest of it.
"""

from __future__ import annotations

from typing import NamedTuple

from kpi.kernels.arrays import Int64s

MOST = 4
"""Islands of one column of a row group: those of the values that are right, and of mistakes of some
kinds."""

_STEP = 64
"""Every so many values are looked at, before all are."""


class Island(NamedTuple):
    """Some values of a column: the smallest, the largest, and how many."""

    low: int
    high: int
    rows: int


def islands(values: Int64s) -> list[Island]:
    """Disjoint, ascending, at most `MOST`; together they hold every value.

    Args:
        values: In any order.
    """
    if len(values) == 0:
        return []
    low, high = int(values.min()), int(values.max())
    # Fewer values only have wider gaps, so where these have none there is none.
    if _parts(values[::_STEP], low, high) is None:
        return [Island(low, high, len(values))]
    found: list[Island] = []
    left = [values]
    while left:
        some = left.pop()
        low, high = int(some.min()), int(some.max())
        parts = _parts(some, low, high) if len(found) + len(left) + 1 < MOST else None
        if parts is None:
            found.append(Island(low, high, len(some)))
        else:
            left += parts
    return sorted(found)


def _parts(values: Int64s, low: int, high: int) -> list[Int64s] | None:
    """The values below and above a gap that is wider than half of a range; None without one."""
    # Such a gap holds the middle of the range.
    below = values <= (low + high) // 2
    parts = [values[below], values[~below]]
    before = int(parts[0].max(initial=low))
    after = int(parts[1].min(initial=high))
    return parts if 2 * (after - before) > high - low else None
