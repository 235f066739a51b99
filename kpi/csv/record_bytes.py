"""Count the fields of, copy, or blank given records of a chunk."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from kpi.csv.chunk import FEW_RECORDS, Chunk
from kpi.csv.grammar import LF, QUOTE, field_pattern
from kpi.csv.scan import whole_of
from kpi.kernels.arrays import Positions

_BLOCK, _FEW_BLOCKS, _FEW_BYTES = 4096, 500, 16_000
"""In up to so many blocks of so many bytes, so many bytes that are not ASCII are looked at one by
one; where there are more, decoding the whole chunk first is faster."""


def field_counts(
    chunk: Chunk, starts: Positions, ends: Positions, *, delimiter: str = ","
) -> Positions:
    """How many fields the records of a chunk have.

    Args:
        chunk: The chunk.
        starts: Of its records, from `kpi.csv.record_index`.
        ends: Likewise.
        delimiter: Between fields.
    """
    if len(starts) <= FEW_RECORDS or not chunk.paired:
        return np.array(_count_each(chunk, starts, ends, delimiter.encode()), np.int64)
    commas = np.flatnonzero(np.frombuffer(chunk.data, np.uint8) == ord(delimiter))
    if not chunk.plain:
        commas = commas[np.searchsorted(chunk.quotes, commas) % 2 == 0]
    return np.searchsorted(commas, ends) - np.searchsorted(commas, starts) + 1


def _count_each(chunk: Chunk, starts: Positions, ends: Positions, comma: bytes) -> list[int]:
    whole, first = whole_of(chunk.data)
    field = field_pattern(comma)
    return [
        whole.count(comma, start, end) + 1
        if whole.find(b'"', start, end) < 0
        # Every field but the last is followed by a delimiter; the pattern takes it along.
        else _count_fields(whole, field, start, end)
        for start, end in _spans(starts + first, ends + first)
    ]


def _count_fields(data: bytes, field: re.Pattern[bytes], start: int, end: int) -> int:
    count = 1
    while match := field.match(data, start, end):
        count, start = count + 1, match.end()
    return count


def without_records(chunk: Chunk, starts: Positions, ends: Positions) -> Chunk:
    """The chunk with some of its records blanked by line feeds."""
    if len(starts) > FEW_RECORDS:
        codes = np.frombuffer(chunk.data, np.uint8).copy()
        codes[_inside(len(codes), starts, ends)] = LF
        return _blanked(chunk, codes.tobytes())
    parts: list[bytes | memoryview] = []
    at = 0
    for start, end in _spans(starts, ends):
        parts += [chunk.data[at:start], b"\n" * (end - start)]
        at = end
    if not parts:
        return chunk
    return _blanked(chunk, b"".join([*parts, chunk.data[at:]]))


def _blanked(chunk: Chunk, data: bytes) -> Chunk:
    """The chunk with some records blanked, as they are in `data`."""
    quotes = chunk.few_quotes
    if quotes is not None:
        quotes = quotes[np.frombuffer(data, np.uint8)[quotes] == QUOTE]
    return replace(chunk, data=memoryview(data), few_quotes=quotes)


def highest(chunk: Chunk) -> int:
    """Its highest byte; 0 where it has none."""
    # Half the time of `bytes.isascii`, during which no other thread could do anything.
    return int(np.frombuffer(chunk.data, np.uint8).max(initial=0))


def undecodable(chunk: Chunk) -> Positions:
    """Where bytes stand that may not be UTF-8, ascending: at least one in each such record."""
    codes = np.frombuffer(chunk.data, np.uint8)
    whole = len(codes) // _BLOCK * _BLOCK
    blocks = codes[:whole].reshape(-1, _BLOCK)
    strange = np.flatnonzero(blocks.max(axis=1) >= 0x80)
    if len(strange) <= _FEW_BLOCKS:
        at, within = np.nonzero(blocks[strange] >= 0x80)
        if len(at) <= _FEW_BYTES:
            # Which of them are wrong is seen soon enough.
            rest = np.flatnonzero(codes[whole:] >= 0x80) + whole
            return np.concatenate([strange[at] * _BLOCK + within, rest])
    try:
        codecs.utf_8_decode(chunk.data, "strict", True)
    except UnicodeDecodeError:
        return np.flatnonzero(codes >= 0x80)
    return np.zeros(0, np.int64)


def records_of(
    chunk: Chunk, starts: Positions, ends: Positions
) -> tuple[npt.NDArray[np.uint8], Positions]:
    """The bytes of some records of a chunk, one behind the other, and their lengths."""
    codes = np.frombuffer(chunk.data, np.uint8)
    if len(starts) <= FEW_RECORDS:
        parts = [codes[start:end] for start, end in _spans(starts, ends)]
        return np.concatenate([np.zeros(0, np.uint8), *parts]), ends - starts
    return codes[_inside(len(codes), starts, ends)], ends - starts


def _spans(starts: Positions, ends: Positions) -> Iterator[tuple[int, int]]:
    return zip(starts.tolist(), ends.tolist(), strict=True)


def _inside(size: int, starts: Positions, ends: Positions) -> npt.NDArray[np.bool_]:
    # +1 where a record starts, -1 where it ends: their sum is 1 inside and 0 outside.
    steps = np.zeros(size + 1, np.int8)
    steps[starts] += 1
    steps[ends] -= 1
    return np.cumsum(steps[:-1], dtype=np.int8).astype(bool)
