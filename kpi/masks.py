"""Masks between numpy, a byte for each row, and Arrow, a bit for each row."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Mask = npt.NDArray[np.bool_]


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
