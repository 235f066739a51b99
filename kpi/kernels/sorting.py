"""Sorting numbers in place, by what suits their order and their count."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Apply = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""Applies a function to each of some values, as `map` does; one that uses several threads is
faster where many numbers are dealt with. There are no threads in `kpi`."""

MANY = 4_000_000
"""From so many on, parting them pays: on two cores it saves a third of the time."""

_SEEN = 1000
"""Numbers looked at, far apart, to see whether all are nearly in order."""

_TRIED, _QUICK_NS = 1 << 14, 25
"""Numbers sorted to see how fast that is; and what each may take with vector instructions: they
need 5 to 14 ns for so many, others 45."""


@cache
def vectorised() -> bool:
    """Whether numpy has vector instructions to sort with here: then nothing that spares comparisons
    is faster. Nothing but speed depends on it."""
    numbers = np.arange(_TRIED, dtype=np.uint64) ** 7  # in no order
    taken = []
    for _ in range(3):
        some = numbers.copy()
        started = time.perf_counter_ns()
        some.sort()
        taken.append(time.perf_counter_ns() - started)
    return min(taken) < _TRIED * _QUICK_NS


def sort(values: npt.NDArray[np.integer], apply: Apply = map) -> None:
    """Sort in place, ascending; what is nearly in order may take half its memory more meanwhile."""
    if nearly_in_order(values) and not vectorised():
        # The stable sort is timsort: a fifth of the time then, and else a third more.
        values.sort(kind="stable")
        return
    if len(values) < MANY or apply is map:
        values.sort()
        return
    half = len(values) // 2
    values.partition(half)
    for _ in apply(np.ndarray.sort, (values[:half], values[half:])):
        pass


def sort_runs(values: npt.NDArray[np.integer], apply: Apply = map) -> None:
    """As `sort`, of numbers that may be long runs in order, one behind the other."""
    if nearly_in_order(values):
        values.sort(kind="stable")  # which merges runs
    else:
        sort(values, apply)


def nearly_in_order(values: npt.NDArray[np.integer]) -> bool:
    """Whether numbers rise from the first to the last, but for neighbours and a few breaks."""
    seen = values[:: max(len(values) // _SEEN, 1)]
    return 10 * int(np.count_nonzero(seen[1:] < seen[:-1])) <= len(seen)
