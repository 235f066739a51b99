"""The verdict on a source object: accepted, or refused as a whole."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from decimal import Decimal

from kpi.contract.model import Contract
from kpi.contract.receipt_notes import Note
from kpi.errors import BalanceError
from worker.objects.source import Source
from worker.state import Entry

INFLATION_FREE_BYTES = 2**20
"""Decompressed bytes before `max_inflation` applies: small files may be as regular as they like."""


class Unreadable(Exception):
    """The bytes are not the CSV text they claim to be; the message names what came instead."""


class ForeignFormat(Unreadable):
    """The bytes are of a format that is no text.

    Attributes:
        format: Its name in messages.
        is_compressed: Whether it is inside a compression.
    """

    def __init__(self, name: str, *, is_compressed: bool) -> None:
        super().__init__(f"expected CSV text, got {name}")
        self.format = name
        self.is_compressed = is_compressed


def check_balance(entry: Entry) -> Entry:
    """Return the entry if every row of it is clean, rejected or passed over.

    Raises:
        BalanceError: The counts do not add up.
    """
    if entry.rows_read != entry.rows_clean + entry.rows_rejected + entry.rows_passed_over:
        raise BalanceError(
            f"{entry.url}: {entry.rows_read} rows read, but {entry.rows_clean} clean, "
            f"{entry.rows_rejected} rejected and {entry.rows_passed_over} passed over"
        )
    for name, feed in entry.feeds.items():
        if entry.rows_read != feed.clean + feed.rejected + feed.passed_over:
            raise BalanceError(
                f"{entry.url}: {entry.rows_read} rows read, but for {name} {feed.clean} clean, "
                f"{feed.rejected} rejected and {feed.passed_over} passed over"
            )
    return entry


def accept(source: Source, contract: Contract, counts: RowCounts) -> Entry:
    """Make the entry of an accepted object, without results and digests.

    Args:
        source: The object.
        contract: Contract that its rows were held against.
        counts: Of its rows.
    """
    return Entry(
        source_id=source.source_id,
        dataset=source.dataset,
        url=source.info.url,
        version=source.info.version,
        size_bytes=source.info.size_bytes,
        uploaded_at=source.info.uploaded_at,
        sha256=None,
        verdict="accepted",
        reason=None,
        rows_read=counts.rows,
        rows_clean=counts.clean,
        rows_rejected=counts.rejected,
        reasons=dict(sorted(counts.reasons.items())),
        parts=(),
        rejects=(),
        contract=contract.digest,
        seconds=0.0,
        rows_passed_over=counts.passed_over,
    )


def refuse(entry: Entry, reason: str) -> Entry:
    """Make the entry that of an object refused as a whole: every row counts as rejected."""
    return replace(
        entry,
        verdict="refused",
        reason=reason,
        rows_clean=0,
        rows_rejected=entry.rows_read,
        rows_passed_over=0,
        feeds={},
        parts=(),
    )


def same_refusal(entry: Entry, earlier: Entry) -> bool:
    """Return whether two entries of one source object refuse it for one reason and contract."""
    verdicts = ((one.verdict, one.reason, one.contract) for one in (entry, earlier))
    return len(set(verdicts)) == 1


def too_many_rejects(contract: Contract, rows: int, rejected: int, summary: str) -> str | None:
    """Hold the share of rejects against the contract's `max_reject_rate`.

    Args:
        contract: Contract with the limit.
        rows: Rows read.
        rejected: Rejects among them.
        summary: Names the most frequent reasons.

    Returns:
        Why the object is refused; None where it is not.
    """
    allowed = contract.max_reject_rate
    # 0.29 * 100 is less than 29 in binary floating point: take the rate as it is written.
    if rejected <= Decimal(str(allowed)) * rows:
        return None
    return (
        f"expected at most {allowed:.2%} rejects (limits.max_reject_rate), got "
        f"{rejected} of {rows} rows ({rejected / rows:.2%}): {summary}"
    )


def describe_codes(reasons: Counter[str]) -> str:
    """Name the most frequent reject reasons, where only their counts are known."""
    return ", ".join(f"{reason} {rows}" for reason, rows in reasons.most_common(3))


@dataclass
class RowCounts:
    """Rows of a source object counted so far.

    Attributes:
        rows: Rows read.
        clean: Rows that passed.
        rejected: Rows that did not.
        passed_over: Rows of erased customers, which were dropped.
        reasons: Reject reason -> rows that have it; a row may have several.
        notes: Note -> cells of clean rows, or records, that have it; see
            `kpi.contract.receipt_notes`.
    """

    rows: int = 0
    clean: int = 0
    rejected: int = 0
    passed_over: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    @property
    def records(self) -> int:
        """Rows and blank records."""
        return self.rows + self.notes[str(Note.BLANK_ROWS)]
