"""Islands: where the values of a column lie, when a few of them lie far from the others.

A range tells little of a column in which one id is mistyped: it covers all that lies between. So a
range is cut where a gap is wider than all the rest of it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]

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
    if _gap(np.sort(np.append(values[::_STEP], [low, high]))) is None:
        return [Island(low, high, len(values))]
    found: list[Island] = []
    left = [np.sort(values)]
    while left:
        some = left.pop()
        at = _gap(some) if len(found) + len(left) + 1 < MOST else None
        if at is None:
            found.append(Island(int(some[0]), int(some[-1]), len(some)))
        else:
            left += [some[: at + 1], some[at + 1 :]]
    return sorted(found)


def _gap(ascending: Int64s) -> int | None:
    """After which of the values a gap is wider than half of their range; None where none is."""
    if len(ascending) < 2:
        return None
    places = ascending.view(np.uint64)
    gaps = places[1:] - places[:-1]  # modulo 2**64, which the widest of them is below
    at = int(gaps.argmax())
    return at if 2 * int(gaps[at]) > int(ascending[-1]) - int(ascending[0]) else None
