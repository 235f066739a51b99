"""Protocols of the ledger and the KPI tables of one shop, over every store.

`sqlite:///path` keeps both in a file, `dynamodb://prefix` in the tables `<prefix>-ledger`,
`<prefix>-order_kpis_v2`, ... as `kpi.aggregation.tables` defines them. A store is opened for a shop
and sees nothing of any other.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

from worker.state.entry import Effect, Entry
from worker.state.lease import Lease
from worker.state.marks import TableMarks
from worker.state.records import Adoption, Erasure, Record, Ruling
from worker.state.sighting import Sighting

__all__ = [
    "Adoption",
    "DayKpis",
    "Effect",
    "Entry",
    "Erasure",
    "KpiStore",
    "Lease",
    "Ledger",
    "Outcome",
    "Pointer",
    "Progress",
    "Record",
    "Row",
    "Ruling",
    "Sighting",
    "State",
    "TableMarks",
    "Value",
]

Value = str | int | Decimal | None
"""One attribute of a KPI row; None where the contract gives it no meaning."""

Row = Mapping[str, Value]
"""One KPI row: attribute name to value; `order_date` is an ISO date."""


@dataclass(frozen=True, kw_only=True)
class DayKpis:
    """All rows of one order date, for each table published; the unit of publication.

    Attributes:
        order_date: The day.
        tables: KPI table name -> its rows for that day, ascending by group key. Rows of a
            named table that are not given are deleted. Tables that are not named stay as they are.
    """

    order_date: date
    tables: Mapping[str, Sequence[Row]]


class Outcome(enum.Enum):
    """Result of publishing a day."""

    PUBLISHED = "published"
    """The day's rows are those that were given."""

    SUPERSEDED = "superseded"
    """A later state was there already, whole, for every table given: success."""

    CONTENDED = "contended"
    """A writer of a later sequence has begun this day and not ended it. It may have died: compute
    the day again at the ledger's head and publish that."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far the KPI tables have come: one record, and a row for each source that waits.

    Attributes:
        published: KPI table, by `record_names` -> sequence up to which every day of it has been
            published.
        waiting: source_id -> items of it whose order has not arrived, at `waiting_as_of`; only
            sources that have some.
        waiting_as_of: Sequence that `waiting` was computed from.
    """

    published: Mapping[str, int] = field(default_factory=dict)
    waiting: Mapping[str, int] = field(default_factory=dict)
    waiting_as_of: int = 0

    def merge(self, other: Progress) -> Progress:
        """Return the later of both, table by table; of two at one sequence, `other`."""
        later = max(other, self, key=lambda progress: progress.waiting_as_of)
        return Progress(
            published={
                table: max(self.published.get(table, 0), other.published.get(table, 0))
                for table in sorted({*self.published, *other.published})
            },
            waiting=later.waiting,
            waiting_as_of=later.waiting_as_of,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Pointer:
    """Where the ledger has the last entry of a source object.

    Attributes:
        sequence: Of the entry.
        accepted: Whether it was accepted; False where the ledger would have to be read for it.
    """

    sequence: int
    accepted: bool


class Ledger(Protocol):
    """Entries of source objects, rulings on them, adopted contracts and erasures, in one sequence.

    Reads are strongly consistent.

    Raises:
        StoreError: From every method, after retries.
    """

    async def find(self, source_id: str) -> Entry | None:
        """Return the last committed entry of a source object; None before its first commit.

        Staged entries are passed over.
        """

    async def find_staged(self, source_id: str, contract: str) -> Entry | None:
        """Return the entry staged for a source object and the contract of a digest, if any."""

    async def pointers(
        self, source_ids: Collection[str], *, staged_for: str | None = None
    ) -> dict[str, Pointer]:
        """Return where the entries of many source objects are; absent where there is none.

        Args:
            source_ids: The source objects.
            staged_for: Digest of a contract, to look for the entries staged for it; None to look
                for committed ones.
        """

    async def entries_at(self, sequences: Collection[int]) -> list[Entry]:
        """Return the entries at some sequences, ascending; other records are passed over."""

    async def stage(self, entry: Entry) -> Entry:
        """Append `entry`, which is marked as staged, for its contract's adoption or an erasure.

        A source object has one staged entry for each contract, and an entry one for each erasure: a
        later call returns the first.

        Raises:
            CustomersErased: `entry.erased` is not the last erasure.
        """

    async def commit(
        self, entry: Entry, *, adoption: Adoption | None = None, replaces: int = 0
    ) -> Entry:
        """Append `entry` under the next sequence and return it with that sequence.

        One transaction: the counter moves from s-1 to s and the entry appears at s. A verdict
        belongs to a version and a contract: where the source object was accepted before, or refused
        under the same contract, nothing changes and that entry is returned.

        Args:
            entry: What to append.
            adoption: The contract that it was validated with. The first accepted entry adopts it,
                in the same transaction and one sequence earlier.
            replaces: Sequence of an entry of the source object that no longer stands, though its
                verdict is final; 0 for none.

        Raises:
            ContractChanged: Another contract than that of `adoption` is in force.
            CustomersErased: `entry.erased` is not the last erasure: its rows may hold a customer
                who was erased since.
        """

    async def adoption(self) -> Adoption | None:
        """Return the last adoption: the contract in force; None before the first."""

    async def adopt(
        self, adoption: Adoption, *, replaces: int, head: int | None = None
    ) -> Adoption:
        """Append `adoption` under the next sequence.

        Args:
            adoption: The contract that comes into force.
            replaces: Sequence of the adoption in force; 0 for none.
            head: Append only where this is the last sequence; None for any.

        Raises:
            ContractChanged: Another one is in force.
            HeadMoved: The last sequence is another one than `head`; nothing is appended.
        """

    async def erase(self, erasure: Erasure, *, head: int) -> Erasure:
        """Append `erasure` under the next sequence; see `commit`.

        Args:
            erasure: Its rewritten entries are staged.
            head: Append only where this is the last sequence.

        Raises:
            HeadMoved: The last sequence is another one than `head`; nothing is appended.
        """

    async def erasures(self) -> list[Erasure]:
        """Return all erasures, ascending by sequence; there are few."""

    async def rewritten(self, erasure_id: str) -> list[Entry]:
        """Return the entries staged for an erasure, ascending by the entry that each rewrites."""

    async def erasure_key(self, proposed: bytes | None = None) -> bytes | None:
        """Return the ledger's secret; None where none was drawn yet.

        The digests of erased customers have it as their key; that of the key index derives from it.

        Args:
            proposed: Becomes the key where there is none yet.
        """

    async def rule(self, ruling: Ruling) -> Ruling:
        """Append `ruling` under the next sequence, once for each `ruling_id`; see `commit`."""

    async def head(self) -> int:
        """Return the last sequence; 0 for an empty ledger."""

    async def entries(self, *, after: int = 0, up_to: int | None = None) -> list[Entry]:
        """Return entries with after < sequence <= up_to (default: all), ascending by sequence.

        Rulings take sequences too, so sequences of entries may have gaps.
        """

    async def records(self, *, after: int = 0, up_to: int | None = None) -> list[Record]:
        """Return records of every kind with after < sequence <= up_to, ascending by sequence."""

    async def rulings(self) -> list[Ruling]:
        """Return all rulings, ascending by sequence; there are few."""

    async def record_effects(self, effects: Mapping[str, Effect]) -> None:
        """Record the effect of each source_id; one of a lower `as_of` never replaces another."""

    async def effects(self, source_ids: Sequence[str]) -> dict[str, Effect]:
        """Return the recorded effects by source_id; absent where there is none yet."""

    async def record_sighting(self, source_id: str, sighting: Sighting) -> None:
        """Record how the file of a source was last seen; it replaces the sighting before."""

    async def sightings(self, source_ids: Sequence[str]) -> dict[str, Sighting]:
        """Return the recorded sightings by source_id; absent where there is none yet."""


class KpiStore(Protocol):
    """The KPI tables.

    Raises:
        StoreError: From every method, after retries.
    """

    async def publish(self, day: DayKpis, as_of: int) -> Outcome:
        """Make the day's rows exactly those of `day`, and their `as_of` the given one.

        Only rows whose values differ are written; the day's guard holds `as_of`. A day's state
        never goes back to a lower sequence, whatever writers run at once, die, or wake up late;
        rows that a later state has deleted never come back. Where one transaction can hold the
        day, readers see it change at once; else its order_kpis row changes last. Publishing the
        same day twice changes nothing.
        """

    async def progress(self) -> Progress:
        """Return the progress record; an empty one at first."""

    async def advance(self, progress: Progress) -> Progress:
        """Replace the record by `record.merge(progress)`, and return that.

        Everything but `waiting` changes atomically. Where many sources wait, a reader may meet
        some of their new counts together with the old record.
        """

    async def days(self) -> dict[date, Mapping[str, int]]:
        """Return every day ever begun -> KPI table -> sequence at which it is whole.

        Strongly consistent. A table whose publication of the day has not ended is absent. So may
        be one that was whole before another table of the day was published later.
        """

    async def publication_times(
        self, *, first: date | None = None, last: date | None = None
    ) -> dict[date, datetime]:
        """Return when each day was published last, to the second.

        A day that a release without these times has published alone is absent. `first` and `last`
        are inclusive days.
        """

    async def lease(self) -> Lease:
        """Return the lease on transforms; see `worker.state.lease`."""

    async def put_lease(self, lease: Lease) -> bool:
        """Write the next state of the lease; False where its version is not the next one."""

    def rows(
        self,
        table: str,
        *,
        first: date | None = None,
        last: date | None = None,
        group: str | None = None,
    ) -> AsyncIterator[Row]:
        """Yield rows of a KPI table, ascending by order_date, then group key.

        `first` and `last` are inclusive days, `group` one category or product. Rows have the
        attributes of the table's schema and `as_of`, nothing else. Rows of a day that is being
        published are of that sequence or a later one. Strongly consistent unless `group` is given.
        """

    async def marks(self) -> TableMarks:
        """Return what KPI tables apart from the ledger have seen; none where one file holds both.

        A table is marked before a publication in it begins, and after it has ended.
        """

    async def mark_again(self, ledger: str, as_of: int) -> None:
        """Mark every table as published from this ledger.

        Args:
            ledger: Identifies its last records up to `as_of`.
            as_of: Sequence that every day has been published at.
        """

    async def delete_unguarded(self) -> int:
        """Delete rows that no guard knows: those of a ledger that is gone. Return their number."""


class State(Ledger, KpiStore, Protocol):
    """Ledger and KPI tables behind one URL."""

    async def create_tables(self) -> list[str]:
        """Create what is missing, and return the names of the tables created."""

    async def close(self) -> None:
        """Close connections and threads."""
