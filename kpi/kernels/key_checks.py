"""Compute a check of key columns: 64 bits of another function, under another secret.

It is a part of each key beside the hash. So ids that share a hash, whatever the reason, stay apart:
no rows are merged unless both functions fail for the same two ids.

The check of a text takes its words of 8 bytes in turn, the last of them from its end:

    state = length * second factor
    for word:  state = (state ^ word) * factor;  state = state ^ (state >> 32)

Each step is one to one for a given word, and for a given state: texts of one length of up to 8
bytes have different checks. No bound is stated for longer texts: the hash has one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kpi.kernels.arrays import Bytes, Positions, Words
from kpi.kernels.process_secrets import CHECK_MULTIPLIER, SECOND_CHECK_MULTIPLIER
from kpi.kernels.uuids import UUID

WORD_BYTES = 8

CHECK_BLOCK_ROWS = 1 << 15
"""Texts checked at once: their words fit the cache of a core."""

_MASKS = np.array([2 ** (8 * size) - 1 for size in range(WORD_BYTES + 1)], np.uint64)
"""Which bits of a word belong to a text of 0 to 8 bytes."""

_HALF = np.uint64(32)


def check_rows(columns: Sequence[pa.ChunkedArray]) -> Words:
    """Compute the check of each row of some columns.

    Args:
        columns: Without null: integers, UUIDs or strings.
    """
    found = np.empty(len(columns[0]), np.uint64)
    for start in range(0, len(found), CHECK_BLOCK_ROWS):
        rows = slice(start, start + CHECK_BLOCK_ROWS)
        found[rows] = combine([_check_column(column[rows]) for column in columns])
    return found


def combine(parts: Sequence[Words]) -> Words:
    """Combine the checks of the columns of some rows."""
    state = parts[0].copy()
    for part in parts[1:]:
        state *= SECOND_CHECK_MULTIPLIER  # or the parts could change places
        _mix(state, part)
    return state


def _check_column(column: pa.ChunkedArray) -> Words:
    found = np.empty(len(column), np.uint64)
    end = 0
    for chunk in column.chunks:
        start, end = end, end + len(chunk)
        if not len(chunk):
            continue  # it may have no buffers
        if pa.types.is_integer(chunk.type):
            found[start:end] = chunk.to_numpy().view(np.uint64)
        elif chunk.type == UUID:
            words = np.frombuffer(chunk.buffers()[1], np.uint64)
            words = words[2 * chunk.offset : 2 * (chunk.offset + len(chunk))]
            state = np.zeros(len(chunk), np.uint64)
            _mix(state, words[0::2])
            _mix(state, words[1::2])
            found[start:end] = state
        else:
            found[start:end] = _check_texts(chunk)
    return found


def _check_texts(texts: pa.Array) -> Words:
    """Check the texts of a `pa.string()` array."""
    _, offsets_buffer, data = texts.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[texts.offset :][: len(texts) + 1]
    codes = np.frombuffer(data or b"", np.uint8)[offsets[0] : offsets[-1]]
    lengths = np.diff(offsets)
    if lengths[0] >= WORD_BYTES and (lengths == lengths[0]).all():
        return _check_equal_lengths(codes, int(lengths[0]), len(lengths))
    # Room behind the last text, so that every word can be read whole.
    padded = np.zeros(len(codes) + WORD_BYTES, np.uint8)
    padded[: len(codes)] = codes
    return _check_lengths(padded, (offsets[:-1] - offsets[0]).astype(np.int64), lengths)


def _check_equal_lengths(codes: Bytes, length: int, rows: int) -> Words:
    """Check adjacent texts of one length: word n of all texts has a constant stride."""
    state = np.full(rows, length, np.uint64) * SECOND_CHECK_MULTIPLIER
    for at in (*range(0, length - WORD_BYTES + 1, WORD_BYTES), length - WORD_BYTES):
        _mix(state, np.ndarray((rows,), np.uint64, codes, at, (length,)))
    return state


def _check_lengths(codes: Bytes, starts: Positions, lengths: npt.NDArray[np.int32]) -> Words:
    """Check texts of several lengths: word n of those that are long enough."""
    windows = np.ndarray((len(codes) - WORD_BYTES + 1,), np.uint64, codes, 0, (1,))
    state = lengths.astype(np.uint64) * SECOND_CHECK_MULTIPLIER
    rows = np.flatnonzero(lengths >= WORD_BYTES)
    at = starts[rows]
    left = lengths[rows]
    while len(rows):
        some = state[rows]
        _mix(some, windows[at])
        state[rows] = some
        on = np.flatnonzero(left >= 2 * WORD_BYTES)
        rows, at, left = rows[on], at[on] + WORD_BYTES, left[on] - WORD_BYTES
    last = windows[starts + np.maximum(lengths - WORD_BYTES, 0)]
    _mix(state, last & _MASKS.take(np.minimum(lengths, WORD_BYTES)))
    return state


def _mix(state: Words, words: Words) -> None:
    state ^= words
    state *= CHECK_MULTIPLIER
    state ^= state >> _HALF
