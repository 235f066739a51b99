"""Search for single bytes in a buffer."""

from __future__ import annotations

import numpy as np

from kpi.kernels.arrays import Bytes, Positions

SCAN_BLOCK_BYTES = 256 * 1024
"""Bytes scanned at once. A result of one byte for each stays in a core's L2 cache."""

_SPARSE_SPACING_BYTES = 512
"""Mean spacing of a byte above which `bytes.find` is faster than comparing every byte."""


def find_common_byte(codes: Bytes, code: int) -> Positions:
    """Find every offset of a byte by comparing all bytes, ascending."""
    blocks = range(0, len(codes), SCAN_BLOCK_BYTES)
    # Counted first: the offsets may take eight times the bytes, and are held once only.
    count = sum(np.count_nonzero(codes[at : at + SCAN_BLOCK_BYTES] == code) for at in blocks)
    offsets = np.empty(count, np.int64)
    first = 0
    for at in blocks:
        found = np.flatnonzero(codes[at : at + SCAN_BLOCK_BYTES] == code)
        np.add(found, at, out=offsets[first : first + len(found)])
        first += len(found)
    return offsets


def find_rare_byte(buffer: bytes, code: int, start: int, stop: int) -> Positions:
    """Find every offset of a byte in `buffer[start:stop]`, ascending and relative to `start`.

    Searches with `bytes.find` as long as the byte proves rare.
    """
    byte = bytes([code])
    most = (stop - start) // _SPARSE_SPACING_BYTES
    found: list[int] = []
    at = buffer.find(byte, start, stop)
    while at >= 0:
        found.append(at)
        if len(found) > most:
            return find_common_byte(np.frombuffer(buffer, np.uint8)[start:stop], code)
        at = buffer.find(byte, at + 1, stop)
    return np.array(found, np.int64) - start
