"""A chunk of whole records, and the bytes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kpi.contract.reject_reasons import Reason
from kpi.csv.grammar import QUOTE, pair_up
from kpi.csv.scan import positions_of
from kpi.kernels.arrays import Positions

FEW_RECORDS = 4000
"""Up to so many records of a chunk are faster handled one by one than by masks over its bytes."""


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


def few(quotes: Positions) -> Positions | None:
    """Quotes that a chunk keeps in mind; None where they are many."""
    # A copy, or those of the record that comes next would be kept too.
    return quotes.copy() if len(quotes) <= FEW_RECORDS else None
