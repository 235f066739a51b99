"""Convert between NumPy masks, a byte for each row, and Arrow bitmaps, a bit for each row."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa

from kpi.kernels.arrays import Mask, Positions

SLICE_MIN_ROWS_PER_DROP = 500
"""Below one dropped row in 500, copying the runs between them is faster than a filter."""


def valid(array: pa.Array) -> Mask:
    """Return which values are not null, as a mask that nobody may write to."""
    if not array.null_count:
        return np.ones(len(array), bool)
    return _unpack_bits(array.buffers()[0], array)


def true(booleans: pa.Array) -> Mask:
    """Return which values are true: neither false nor null."""
    found = _unpack_bits(booleans.buffers()[1], booleans)
    return found & valid(booleans) if booleans.null_count else found


def booleans(mask: Mask) -> pa.Array:
    """Convert a mask to an array of `pa.bool_()`."""
    return pa.Array.from_buffers(pa.bool_(), len(mask), [None, bitmap(mask)])


def bitmap(mask: Mask) -> pa.Buffer:
    """Pack a mask into a validity bitmap."""
    return pa.py_buffer(np.packbits(mask, bitorder="little"))


def word(*codes: int) -> np.uint64:
    """Pack eight bytes, in the order of memory, into a little-endian word."""
    return np.uint64(int.from_bytes(bytes(codes), "little"))


def without(table: pa.Table, rows: Positions) -> pa.Table:
    """Copy a table without some rows, into one chunk.

    Args:
        table: Any.
        rows: Positions to drop, ascending.
    """
    if len(rows) * SLICE_MIN_ROWS_PER_DROP > table.num_rows:
        keep = np.ones(table.num_rows, bool)
        keep[rows] = False
        return table.filter(booleans(keep)).combine_chunks()
    edges = [-1, *rows.tolist(), table.num_rows]
    runs = [table.slice(edge + 1, next_edge - edge - 1) for edge, next_edge in pairwise(edges)]
    return pa.concat_tables(runs).combine_chunks()


def _unpack_bits(buffer: pa.Buffer | None, array: pa.Array) -> Mask:
    if buffer is None:  # an array of length 0 may have none
        return np.zeros(len(array), bool)
    first_byte, first_bit = divmod(array.offset, 8)
    packed = np.frombuffer(buffer, np.uint8)[first_byte:]
    bits = np.unpackbits(packed, count=first_bit + len(array), bitorder="little")
    return bits[first_bit:].view(bool)
