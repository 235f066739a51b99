"""Sorting numbers in place, those that are many on two cores."""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt

MANY = 4_000_000
"""From so many on, parting them and starting a thread pays; it saves a third of the time."""


def sort(values: npt.NDArray[np.integer]) -> None:
    """Sort in place, ascending."""
    if len(values) < MANY:
        values.sort()
        return
    half = len(values) // 2
    values.partition(half)
    other = threading.Thread(target=values[:half].sort)
    other.start()
    values[half:].sort()
    other.join()
