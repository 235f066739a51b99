"""Masks between numpy, a byte for each row, and Arrow, a bit for each row."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kpi.kernels.arrays import Mask


def valid(array: pa.Array) -> Mask:
    """Which values are not null. To be written to by nobody."""
    if not array.null_count:
        return np.ones(len(array), bool)
    return _bits(array.buffers()[0], array)


def true(booleans: pa.Array) -> Mask:
    """Which values are true, so neither false nor null."""
    found = _bits(booleans.buffers()[1], booleans)
    return found & valid(booleans) if booleans.null_count else found


def booleans(mask: Mask) -> pa.Array:
    """A mask as `pa.bool_()`."""
    return pa.Array.from_buffers(pa.bool_(), len(mask), [None, bitmap(mask)])


def bitmap(mask: Mask) -> pa.Buffer:
    """A mask as the validity of an array."""
    return pa.py_buffer(np.packbits(mask, bitorder="little"))


def _bits(buffer: pa.Buffer | None, array: pa.Array) -> Mask:
    if buffer is None:  # of nothing
        return np.zeros(len(array), bool)
    first, within = divmod(array.offset, 8)
    packed = np.frombuffer(buffer, np.uint8)[first:]
    bits = np.unpackbits(packed, count=within + len(array), bitorder="little")
    return bits[within:].view(bool)


def word(*codes: int) -> np.uint64:
    """Eight bytes as they lie in memory."""
    return np.uint64(int.from_bytes(bytes(codes), "little"))


_SPARSE = 500
"""Where fewer than one row in so many goes, copying the runs between is faster than a filter."""


def without(table: pa.Table, rows: npt.NDArray[np.int64]) -> pa.Table:
    """All rows but some, ascending, in one piece."""
    if len(rows) * _SPARSE > table.num_rows:
        keep = np.ones(table.num_rows, bool)
        keep[rows] = False
        return table.filter(booleans(keep)).combine_chunks()
    edges = [-1, *rows.tolist(), table.num_rows]
    runs = [table.slice(edge + 1, next_edge - edge - 1) for edge, next_edge in pairwise(edges)]
    return pa.concat_tables(runs).combine_chunks()
