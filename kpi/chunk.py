"""A chunk of whole records, and the bytes of it."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import numpy.typing as npt

from kpi.quotes import LF, QUOTE, Positions, field_pattern, pair_up
from kpi.reasons import Reason

FEW_RECORDS = 4000
"""Up to so many records of a chunk are faster handled one by one than by masks over its bytes."""

_BLOCK, _FEW_BLOCKS, _FEW_BYTES = 4096, 500, 16_000
"""In up to so many blocks of so many bytes, so many bytes that are not ASCII are looked at one by
one; where there are more, decoding the whole chunk first is faster."""

_CACHED = 1 << 18
"""Bytes compared at once, so that what comes of it stays in the cache."""

_SPARSE = 512
"""Where a byte stands less often than once in so many, searching is faster than comparing all."""


@dataclass(frozen=True, kw_only=True)
class Malformed:
    """A record that cannot be taken apart.

    Attributes:
        offset: Its stream offset.
        raw: Its bytes without line end; the first `max_record_bytes` where it is longer.
        reason: `MALFORMED_QUOTES` or `RECORD_TOO_LONG`.
    """

    offset: int
    raw: bytes
    reason: Reason


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Whole records, ready for the parser.

    Attributes:
        data: The bytes: a view of a `bytes`, of the block read where that is possible; malformed
            records in them are blanked by line feeds, which parsers skip.
        offset: Stream offset of data[0].
        paired: Whether its quotes, taken in turn, open a field and close it: none of them is an
            ordinary character.
        few_quotes: Where they stand, ascending; None where they are more than `FEW_RECORDS`.
        malformed: The malformed records, ascending by offset.
    """

    data: memoryview
    offset: int
    paired: bool
    few_quotes: Positions | None
    malformed: tuple[Malformed, ...] = ()

    @classmethod
    def of(
        cls,
        data: bytes,
        *,
        offset: int = 0,
        malformed: tuple[Malformed, ...] = (),
        delimiter: str = ",",
    ) -> Chunk:
        """A chunk of some bytes, whose quotes are looked for."""
        view = memoryview(data)
        quotes = positions_of(view, QUOTE)
        return cls(
            data=view,
            offset=offset,
            paired=pair_up(np.frombuffer(view, np.uint8), quotes, ord(delimiter), last=True),
            few_quotes=few(quotes),
            malformed=malformed,
        )

    @property
    def quotes(self) -> Positions:
        """Where quotes stand, ascending; looked for anew where they are many."""
        return positions_of(self.data, QUOTE) if self.few_quotes is None else self.few_quotes

    @property
    def plain(self) -> bool:
        """Whether no quote stands in it."""
        return self.few_quotes is not None and len(self.few_quotes) == 0

    def behind(self, end: int) -> Chunk:
        """What is left of it behind a record that ends before `end`."""
        quotes = self.few_quotes
        return replace(
            self,
            data=memoryview(bytes(self.data[end:])),
            offset=self.offset + end,
            few_quotes=None if quotes is None else quotes[quotes >= end] - end,
        )


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


def few(quotes: Positions) -> Positions | None:
    """Quotes that a chunk keeps in mind; None where they are many."""
    # A copy, or those of the record that comes next would be kept too.
    return quotes.copy() if len(quotes) <= FEW_RECORDS else None


def field_counts(
    chunk: Chunk, starts: Positions, ends: Positions, *, delimiter: str = ","
) -> Positions:
    """How many fields the records of a chunk have.

    Args:
        chunk: The chunk.
        starts: Of its records, from `kpi.records`.
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
