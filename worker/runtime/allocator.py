"""Configure memory allocators so that freed memory goes back to the system."""

from __future__ import annotations

import ctypes
import os
import sys

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8
"""Parameters of glibc's `mallopt` (malloc.h)."""

MMAP_THRESHOLD_BYTES = 12 * 2**20
"""Size from which an array is returned to the system when it is freed. Arrays of one block of a
file are smaller: to allocate them from the system each time would cost more than to keep them."""

TRIM_THRESHOLD_BYTES = 64 * 2**20
"""Freed bytes at the top of the heap that malloc may keep."""


def choose_allocator() -> None:
    """Make Arrow allocate all memory by jemalloc; call this before Arrow is imported.

    Arrow's other allocators keep more freed memory. Where Python selects one, parts of Arrow still
    use another, and each keeps some.
    """
    if sys.platform == "linux":  # whose wheels include jemalloc
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")


def set_up() -> None:
    """Bound what malloc keeps; call this before there are threads.

    benchmarks/README.md has the figures.
    """
    # numpy allocates by malloc, which raises its thresholds with the largest array that it has
    # seen, in an arena for each thread.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # only glibc has it
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)
        mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES)
        mallopt(M_ARENA_MAX, 1)


def give_back() -> None:
    """Return freed memory to the system, before much is allocated for something else."""
    import pyarrow as pa  # noqa: PLC0415  (the allocator must have been chosen)

    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # only glibc has it
    if trim is not None:
        trim(0)
