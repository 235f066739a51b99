"""What memory allocators are told, so that a process stays as small as what it holds."""

from __future__ import annotations

import ctypes
import os
import sys

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8
"""Parameters of glibc's `mallopt` (malloc.h)."""

MMAP_BYTES = 12 * 2**20
"""Arrays from this size on go back to the system when they are freed; those of one block of a file
are smaller, and getting each of them anew would cost more than keeping them."""

KEPT_BYTES = 64 * 2**20
"""How much of the others may be kept for the next."""


def choose_allocator() -> None:
    """Have Arrow take all of its memory from jemalloc; to be called before it is imported.

    Its other allocators keep more of what chunks leave behind, and where Python names one, parts of
    Arrow still use another, so that each keeps something.
    """
    if sys.platform == "linux":  # whose packages have it
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")


def set_up() -> None:
    """To be called before there are threads (benchmarks/README.md says what it saves)."""
    # numpy's arrays come from malloc, which by itself keeps more the larger those are that it has
    # seen, and that for every thread.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's alone
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, MMAP_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(M_ARENA_MAX, 1)


def give_back() -> None:
    """Return what was freed to the system, before much is needed for something else."""
    import pyarrow as pa  # noqa: PLC0415  (the allocator must have been chosen)

    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
    if trim is not None:
        trim(0)
