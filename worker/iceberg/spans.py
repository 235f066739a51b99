"""Decide which rows go into one data file, and which data files are written again.

A row's place is the ledger sequence of its upload, and its number among the upload's rows of the
dataset. A data file holds the current rows of a *span* of places, and its name says which. Rows are
current or not; they never move. So a change rewrites the data files whose spans have it, and new
uploads follow behind the last span.

Row groups that are in no span have no current row. A span that lost its last one is forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

SPAN_ROWS = 1_000_000
"""Rows of a data file, about: one changed order rewrites so many at most."""

NAME = re.compile(
    r"(?P<from>\d{12}-\d{15})-(?P<to>\d{12}-\d{15})-as-of-(?P<sequence>\d+)-[0-9a-f]{8}\.parquet"
)
"""Name of a data file."""


@dataclass(frozen=True, order=True)
class Place:
    """Place of a row.

    Attributes:
        sequence: Ledger sequence of its upload.
        row: Its number in the upload.
    """

    sequence: int
    row: int

    def __str__(self) -> str:
        return f"{self.sequence:012d}-{self.row:015d}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """Parse what `str` makes."""
        sequence, row = text.split("-")
        return cls(int(sequence), int(row))


@dataclass(frozen=True, order=True)
class Span:
    """Places from `start`, up to `end` but without it."""

    start: Place
    end: Place

    def __contains__(self, place: Place) -> bool:
        return self.start <= place < self.end

    def name(self, sequence: int, ledger: str) -> str:
        """Name the data file with the current rows of the span.

        Args:
            sequence: Ledger sequence that they are of.
            ledger: Digest of the ledger up to it: after a ledger was put back, the same sequence
                means other rows.
        """
        return f"{self.start}-{self.end}-as-of-{sequence}-{ledger[:8]}.parquet"

    @classmethod
    def parse(cls, url: str) -> Span | None:
        """Return the span of a data file; None where it has another name."""
        found = NAME.fullmatch(url.rpartition("/")[2])
        return found and cls(Place.parse(found["from"]), Place.parse(found["to"]))


@dataclass(frozen=True)
class Stretch:
    """Rows of one row group: where they are, and how many."""

    span: Span
    rows: int


@dataclass(frozen=True)
class Rewrite:
    """One data file to write.

    Attributes:
        span: Whose rows it gets.
        replaced: Spans whose data files it takes the place of.
    """

    span: Span
    replaced: tuple[Span, ...] = ()


def plan_rewrites(
    existing: Mapping[Span, int], changed: Iterable[Stretch], max_rows: int = SPAN_ROWS
) -> list[Rewrite]:
    """Plan which data files are written, so that all changed rows are in one of them.

    Args:
        existing: Span -> rows of the data files that there are.
        changed: Row groups that may have other current rows than they had.
        max_rows: Rows of a data file, about.
    """
    spans = sorted(existing)
    rewritten: set[Span] = set()
    outside: list[Stretch] = []
    at = 0
    for stretch in sorted(changed, key=lambda one: one.span):
        while at < len(spans) and spans[at].end <= stretch.span.start:
            at += 1
        if at < len(spans) and stretch.span.start in spans[at]:
            rewritten.add(spans[at])
        else:
            outside.append(stretch)
    new = list(_joined(outside, spans, max_rows))
    end = spans[-1].end if spans else Place(0, 0)
    first = next((one for one in new if one.span.start >= end), None)
    small = _small_at_the_end(existing, spans, first, max_rows) if first else ()
    plan = [Rewrite(span, (span,)) for span in rewritten if span not in small]
    if first and small:
        joined = Span(small[0].start, first.span.end)
        plan.append(Rewrite(joined, small))
        new = [one for one in new if one.span.start not in joined]
    plan += [Rewrite(one.span) for one in new]
    return sorted(plan, key=lambda one: one.span)


def _small_at_the_end(
    existing: Mapping[Span, int], spans: Sequence[Span], first: Stretch, max_rows: int
) -> tuple[Span, ...]:
    """Return the last data files that join the first rows behind them, so that few are left.

    Each has at most as many rows as what it joins. So a row is written again as often as the number
    of rows behind it doubles.
    """
    rows, small = first.rows, list[Span]()
    for span in reversed(spans):
        if existing[span] > rows or rows + existing[span] > max_rows:
            break
        rows += existing[span]
        small.insert(0, span)
    return tuple(small)


def _joined(
    stretches: Sequence[Stretch], between: Sequence[Span], max_rows: int
) -> Iterator[Stretch]:
    """Join stretches that follow on each other, but never over a span that there is."""
    at = 0
    joined: Stretch | None = None
    for one in stretches:
        parted = False
        while at < len(between) and between[at].end <= one.span.start:
            at, parted = at + 1, True
        if joined is not None and not parted and joined.rows + one.rows <= max_rows:
            joined = Stretch(Span(joined.span.start, one.span.end), joined.rows + one.rows)
            continue
        if joined is not None:
            yield joined
        joined = one
    if joined is not None:
        yield joined
