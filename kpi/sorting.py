"""Sorting numbers in place, those that are many in two halves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

Apply = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""Applies a function to each of some values, as `map` does; one that uses several threads is
faster where many numbers are dealt with. There are no threads in `kpi`."""

MANY = 4_000_000
"""From so many on, parting them pays: on two cores it saves a third of the time."""


def sort(values: npt.NDArray[np.integer], apply: Apply = map) -> None:
    """Sort in place, ascending."""
    if len(values) < MANY or apply is map:
        values.sort()
        return
    half = len(values) // 2
    values.partition(half)
    for _ in apply(np.ndarray.sort, (values[:half], values[half:])):
        pass
