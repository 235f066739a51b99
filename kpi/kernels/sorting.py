"""Sort integers in place, by a strategy that suits their order and their number."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Apply = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""Apply a function to each of some values, as `map` does. `kpi` starts no threads: who calls it may
pass one that does."""

PARALLEL_SORT_MIN_VALUES = 4_000_000
"""From this size on, sorting two halves in two threads saves a third of the time."""

ORDER_SAMPLE_VALUES = 1_000
"""Values sampled at equal distances to judge whether an array is nearly sorted."""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How kernels may use the machine. It changes speed, never a result.

    Attributes:
        apply: Applies a function to independent parts, in one thread or in several.
        vector_sort: NumPy sorts 64-bit integers with vector instructions here. No strategy that
            spares comparisons is faster then.
    """

    apply: Apply = map
    vector_sort: bool = False

    def in_one_thread(self) -> Execution:
        """Return the same without `apply`, for work that is itself one of several parts."""
        return replace(self, apply=map)


SERIAL = Execution()


def sort(values: npt.NDArray[np.integer], execution: Execution = SERIAL) -> None:
    """Sort in place, ascending; nearly sorted values may take half their memory as scratch."""
    if is_nearly_sorted(values) and not execution.vector_sort:
        # The stable sort is timsort: a fifth of the time here, a third more elsewhere.
        values.sort(kind="stable")
        return
    if len(values) < PARALLEL_SORT_MIN_VALUES or execution.apply is map:
        values.sort()
        return
    half = len(values) // 2
    values.partition(half)
    for _ in execution.apply(np.ndarray.sort, (values[:half], values[half:])):
        pass


def sort_runs(values: npt.NDArray[np.integer], execution: Execution = SERIAL) -> None:
    """Sort in place values that may be a concatenation of long sorted runs."""
    if is_nearly_sorted(values):
        values.sort(kind="stable")  # timsort merges runs
    else:
        sort(values, execution)


def is_nearly_sorted(values: npt.NDArray[np.integer]) -> bool:
    """Tell whether a sample of the values ascends, but for a tenth of its steps."""
    sample = values[:: max(len(values) // ORDER_SAMPLE_VALUES, 1)]
    return 10 * int(np.count_nonzero(sample[1:] < sample[:-1])) <= len(sample)
