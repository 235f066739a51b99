"""A chunk of whole records: a range of bytes in a block's buffer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from kpi.contract.reject_reasons import Reason
from kpi.csv.grammar import QUOTE, quotes_pair_up
from kpi.csv.scan import find_rare_byte
from kpi.kernels.arrays import Bytes, Positions

FEW_RECORDS = 4000
"""Records (or quotes) of a chunk up to which a Python loop is faster than masks over all bytes."""


class Malformed(NamedTuple):
    """A record whose fields cannot be separated; millions of them are made at once.

    Attributes:
        offset: Its stream offset.
        raw: Its bytes without line end, truncated to `max_record_bytes`.
        reason: `MALFORMED_QUOTES` or `RECORD_TOO_LONG`.
    """

    offset: int
    raw: bytes
    reason: Reason


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Whole records, ready for the parser.

    Attributes:
        buffer: The bytes that hold the chunk: a whole block where that saves a copy. Malformed
            records are overwritten with line feeds, since parsers skip blank lines.
        start: Index of the chunk's first byte in `buffer`.
        stop: Index behind its last byte.
        offset: Stream offset of the first byte.
        quotes_pair_up: Whether quotes, taken in turn, open and close a field: none is ordinary
            text.
        few_quotes: Offsets of the quotes from `start`, ascending; None for more than
            `FEW_RECORDS`.
        malformed: The malformed records, ascending by offset.
    """

    buffer: bytes
    start: int
    stop: int
    offset: int
    quotes_pair_up: bool
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
        """Make a chunk of all of some bytes."""
        quotes = find_rare_byte(data, QUOTE, 0, len(data))
        codes = np.frombuffer(data, np.uint8)
        return cls(
            buffer=data,
            start=0,
            stop=len(data),
            offset=offset,
            quotes_pair_up=quotes_pair_up(codes, quotes, ord(delimiter), last=True),
            few_quotes=copy_if_few(quotes),
            malformed=malformed,
        )

    @property
    def size(self) -> int:
        """Number of its bytes."""
        return self.stop - self.start

    @property
    def data(self) -> memoryview:
        """View of its bytes."""
        return memoryview(self.buffer)[self.start : self.stop]

    @property
    def codes(self) -> Bytes:
        """The same view as an array."""
        return np.frombuffer(self.buffer, np.uint8)[self.start : self.stop]

    @property
    def quotes(self) -> Positions:
        """Offsets of its quotes, ascending; a search where they are many."""
        return self.find(QUOTE) if self.few_quotes is None else self.few_quotes

    @property
    def has_no_quotes(self) -> bool:
        return self.few_quotes is not None and len(self.few_quotes) == 0

    def find(self, code: int) -> Positions:
        """Find every offset of a byte that is probably rare, ascending."""
        return find_rare_byte(self.buffer, code, self.start, self.stop)

    def after(self, end: int) -> Chunk:
        """Return the rest behind a record that ends before offset `end`, with its own buffer."""
        quotes = self.few_quotes
        rest = self.buffer[self.start + end : self.stop]
        return replace(
            self,
            buffer=rest,
            start=0,
            stop=len(rest),
            offset=self.offset + end,
            few_quotes=None if quotes is None else quotes[quotes >= end] - end,
        )

    def with_data(self, data: bytes) -> Chunk:
        """Return the chunk with some records blanked, given all of its bytes after that."""
        quotes = self.few_quotes
        if quotes is not None:
            quotes = quotes[np.frombuffer(data, np.uint8)[quotes] == QUOTE]
        return replace(self, buffer=data, start=0, stop=len(data), few_quotes=quotes)


def copy_if_few(quotes: Positions) -> Positions | None:
    """Return the quotes that a chunk keeps; None where they are many.

    Copies, since a view would keep the array of the whole block alive.
    """
    return quotes.copy() if len(quotes) <= FEW_RECORDS else None
