"""Hash key columns to 128 bits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from kpi.kernels.arrays import Words
from kpi.kernels.duplicates import SPREAD
from kpi.kernels.uuids import UUID

_ROWS_AT_ONCE = 1 << 15
"""Texts of one length hashed at once, likewise; with fewer, threads wait for each other."""


def hash_columns(columns: Sequence[pa.ChunkedArray]) -> tuple[Words, Words]:
    """Hash each row of some columns; return both halves of 128 bits."""
    high, low = _hash(columns[0])
    for column in columns[1:]:
        high, low = _mix(high), _mix(low)
        more_high, more_low = _hash(column)
        high += more_high
        low += more_low
    return high, low


def _hash(column: pa.ChunkedArray) -> tuple[Words, Words]:
    """Both halves of 128 bits of each value of a column."""
    high, low = (np.empty(len(column), np.uint64) for _ in range(2))
    at = 0
    for chunk in column.chunks:
        if not len(chunk):
            continue  # it may have no buffers
        part = slice(at, at + len(chunk))
        if pa.types.is_integer(chunk.type):
            values = chunk.to_numpy().view(np.uint64)
            high[part], low[part] = (_mix(values ^ word) for word in _WORDS[:2])
        elif chunk.type == UUID:
            _halves(chunk, high[part], low[part])
        else:
            high[part], low[part] = _hash_texts(chunk)
        at += len(chunk)
    return high, low


def _halves(values: pa.Array, high: Words, low: Words) -> None:
    """Put the 128 bits of UUIDs there, so mixed that different ones stay different."""
    words = np.frombuffer(values.buffers()[1], "<u8")[2 * values.offset :][: 2 * len(values)]
    low[:] = words[1::2]
    # Of UUIDs that were counted up, the first half alone may be the same in all, and those made of
    # two small numbers differ in the same few bits of both.
    np.multiply(low, SPREAD, out=high)
    high ^= high >> np.uint64(32)
    high ^= words[0::2]


def _hash_texts(texts: pa.Array) -> tuple[Words, Words]:
    """Hash texts by sums over their words, each word mixed by itself.

    Mixing is one to one, so texts that differ in one word differ in both halves; for others the
    halves are two linear equations, with different weights, that would both have to hold.
    """
    _, offsets_buffer, data = texts.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    lengths = np.diff(offsets)
    shortest, longest = int(lengths.min()), int(lengths.max())
    if shortest == longest and longest >= 8:
        return _hash_columns(data, int(offsets[0]), longest, len(texts))
    high = _mix(lengths.astype(np.uint64))
    low, scratch = high.copy(), np.empty_like(high)
    size = 0 if data is None else len(data)
    # Room behind the last text, so that every word can be read whole.
    codes = np.zeros((size // 8 + 2) * 8, np.uint8)
    if data is not None:
        codes[:size] = np.frombuffer(data, np.uint8)
    words = np.lib.stride_tricks.as_strided(codes.view(np.uint64), (size + 1,), (1,))
    starts = offsets[:-1].astype(np.int64)
    for word in range(-(-longest // 8)):
        rows = np.flatnonzero(lengths > 8 * word)
        value = words[starts[rows] + 8 * word]
        missing = (8 * np.maximum(8 * word + 8 - lengths[rows], 0)).astype(np.uint64)
        value <<= missing
        value >>= missing
        weight = _mix_word(value, word, scratch[: len(value)])
        high[rows] += value
        value *= weight
        low[rows] += value
    return high, low


def _hash_columns(data: pa.Buffer, start: int, length: int, rows: int) -> tuple[Words, Words]:
    """Hash texts of one length, 8 or more: each word is a column with a constant stride."""
    low = np.full(rows, _mix(np.array([length], np.uint64))[0])
    high = low.copy()
    scratch = np.empty(min(rows, _ROWS_AT_ONCE), np.uint64)
    for first in range(0, rows, _ROWS_AT_ONCE):
        some = slice(first, min(first + _ROWS_AT_ONCE, rows))
        for word in range(-(-length // 8)):
            beyond = max(8 * word + 8 - length, 0)
            at = start + first * length + 8 * word - beyond
            column = np.ndarray((some.stop - first,), "<u8", data, at, (length,))
            value = column >> np.uint64(8 * beyond)
            weight = _mix_word(value, word, scratch[: len(value)])
            high[some] += value
            value *= weight
            low[some] += value
    return high, low


def _mix_word(values: Words, word: int, scratch: Words) -> np.uint64:
    """Mix the words of that number in place; their weight in the second half of the hash."""
    block, within = divmod(word, len(_WORDS))
    values ^= np.uint64((int(_WORDS[within]) + block) % 2**64)
    _mix_in_place(values, scratch)
    return np.uint64(_WEIGHTS[within])


def _mix(values: Words) -> Words:
    """Spread every bit over all (finalizer of SplitMix64, Steele et al., 2014)."""
    mixed = values.copy()
    _mix_in_place(mixed, np.empty_like(mixed))
    return mixed


def _mix_in_place(values: Words, scratch: Words) -> None:
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, None)):
        np.right_shift(values, np.uint64(shift), out=scratch)
        values ^= scratch
        if factor is not None:
            values *= np.uint64(factor)


_WORDS, _WEIGHTS = (
    _mix(np.arange(1, 2 * 4096 + 1, dtype=np.uint64) * SPREAD) | np.uint64(1)
).reshape(2, -1)
"""What is mixed into each 8-byte word of a text, and its weight in the second half of the hash:
what SplitMix64 gives first for the seed 0, made odd. numpy's generators take longer to import than
a small file to read."""
