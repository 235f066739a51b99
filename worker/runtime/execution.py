"""Choose how kernels use this machine: two threads, and the faster way to sort."""

from __future__ import annotations

import time
from functools import cache

import numpy as np

from kpi.kernels.sorting import Execution
from worker.runtime.concurrency import in_threads

SORT_TRIAL_VALUES = 1 << 14
"""Integers sorted to see how fast NumPy sorts."""

VECTOR_SORT_MAX_NS_PER_VALUE = 25
"""Time for each of them that only vector instructions reach: 5 to 14 ns against 45 without."""


@cache
def threaded() -> Execution:
    """Return the execution that uses two threads."""
    return Execution(apply=in_threads, vector_sort=_sorts_with_vector_instructions())


def _sorts_with_vector_instructions() -> bool:
    """Time a sort of 64-bit integers. NumPy does not say which instructions it sorts with."""
    values = np.arange(SORT_TRIAL_VALUES, dtype=np.uint64) ** 7  # wraps around: in no order
    taken_ns = []
    for _ in range(3):
        trial = values.copy()
        started = time.perf_counter_ns()
        trial.sort()
        taken_ns.append(time.perf_counter_ns() - started)
    return min(taken_ns) < SORT_TRIAL_VALUES * VECTOR_SORT_MAX_NS_PER_VALUE
