"""Search for single bytes in a buffer."""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt

from kpi.kernels.arrays import Positions

_CACHED = 1 << 18
"""Bytes compared at once, so that what comes of it stays in the cache."""


_SPARSE = 512
"""Where a byte stands less often than once in so many, searching is faster than comparing all."""


def places_of(codes: npt.NDArray[np.uint8], code: int) -> Positions:
    """Where a byte that is probably common stands, ascending."""
    blocks = range(0, len(codes), _CACHED)
    found = [np.flatnonzero(codes[at : at + _CACHED] == code) + at for at in blocks]
    return np.concatenate([np.zeros(0, np.int64), *found])


def whole_of(data: memoryview) -> tuple[bytes, int]:
    """The `bytes` that a view is of, which can be searched as the view cannot; and at which of them
    the view begins."""
    whole = cast(bytes, data.obj)
    here, first = (
        np.frombuffer(one, np.uint8).__array_interface__["data"] for one in (data, whole)
    )
    return whole, here[0] - first[0] if len(data) else 0


def positions_of(data: memoryview, code: int) -> Positions:
    """Where a byte that is probably rare stands, ascending."""
    whole, first = whole_of(data)
    size, byte = len(data), bytes([code])
    found: list[int] = []
    at = whole.find(byte, first, first + size)
    while at >= 0:
        found.append(at)
        if len(found) > size // _SPARSE:
            return places_of(np.frombuffer(data, np.uint8), code)
        at = whole.find(byte, at + 1, first + size)
    return np.array(found, np.int64) - first
