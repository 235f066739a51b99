"""Ledger and KPI tables in one SQLite file: the default of a local run."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import orjson

from kpi.aggregation.tables import DEFAULT_SHOP, KPI_TABLES
from worker.errors import ContractChanged, HeadMoved
from worker.objects.readers import Readers
from worker.state import (
    Adoption,
    DayKpis,
    Entry,
    Erasure,
    Lease,
    Outcome,
    Progress,
    Record,
    Row,
    Ruling,
)
from worker.state.entry import erasure_prefix, name_of_staged, staged_name
from worker.state.marks import KeptTogether
from worker.state.records import record_from_json
from worker.state.sqlite.connection import SqliteFile
from worker.state.sqlite.days import publish_day, read_guards, read_progress, with_as_of
from worker.state.sqlite.erasure_key import erasure_key
from worker.state.sqlite.kpi_columns import rows_table
from worker.state.sqlite.lease import put_lease, read_lease
from worker.state.sqlite.ledger_rows import (
    append_adoption,
    append_record,
    check_erased,
    find_record,
    head_of,
    last_adoption,
)
from worker.state.sqlite.rows import columns_of, parse_row
from worker.state.sqlite.sources import SqliteSources

PAGE_ROWS = 10_000
"""KPI rows read in one transaction, and the rest of the last day's."""

TRANSACTION_DAYS = 16
"""Days published in one transaction: other processes wait for it."""


@dataclass(eq=False)
class _Publication:
    """A day waiting for its publication.

    Attributes:
        day: The day.
        as_of: See `KpiStore.publish`.
        alone: Whether a transaction that it shared has failed.
        outcome: Result, once it is on the disk.
    """

    day: DayKpis
    as_of: int
    alone: bool = False
    outcome: Outcome | None = None


class SqliteState(SqliteSources, KeptTogether):
    """`State` over SQLite, for one event loop and one shop."""

    def __init__(
        self,
        path: Path,
        *,
        shop: str = DEFAULT_SHOP,
        read_only: bool = False,
        readers: Readers | None = None,
    ) -> None:
        super().__init__(SqliteFile(path, read_only=read_only, readers=readers), shop)
        self._publishing = asyncio.Lock()
        self._publications: list[_Publication] = []

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        shop: str = DEFAULT_SHOP,
        read_only: bool = False,
        readers: Readers | None = None,
    ) -> SqliteState:
        """Open the file, creating it and its tables where they are missing.

        Args:
            path: The file.
            shop: Whose ledger and KPI tables.
            read_only: Whether to open it for reading alone. A missing file then reads as an empty
                database, and is not created.
            readers: Who may read the file from now on; None leaves that as it is.

        Raises:
            ConfigError: The file is not a database of this schema.
            StoreError: It cannot be opened.
        """
        state = cls(path, shop=shop, read_only=read_only, readers=readers)
        try:
            await state._file.run(lambda _: None)
        except BaseException:
            await state.close()
            raise
        return state

    async def close(self) -> None:
        self._file.stop()
        async with self._publishing:  # waiting publications were begun before
            await self._file.close()

    async def create_tables(self) -> list[str]:
        return []  # opening has created them

    async def find(self, source_id: str) -> Entry | None:
        return await self._file.run(
            lambda db: find_record(db, self._shop, "entry", source_id, Entry)
        )

    async def find_staged(self, source_id: str, contract: str) -> Entry | None:
        name = staged_name(source_id, contract)
        return await self._file.run(lambda db: find_record(db, self._shop, "staged", name, Entry))

    async def stage(self, entry: Entry) -> Entry:
        name = name_of_staged(entry)

        def append(db: sqlite3.Connection) -> Entry:
            earlier = find_record(db, self._shop, "staged", name, Entry)
            if earlier is not None:
                return earlier
            check_erased(db, self._shop, entry)
            return append_record(db, self._shop, "staged", name, entry)

        return await self._file.run(append)

    async def commit(
        self, entry: Entry, *, adoption: Adoption | None = None, replaces: int = 0
    ) -> Entry:
        def append(db: sqlite3.Connection) -> Entry:
            earlier = find_record(db, self._shop, "entry", entry.source_id, Entry)
            if earlier is not None and earlier.stands(entry.contract, replaces):
                return earlier
            check_erased(db, self._shop, entry)
            if adoption is not None and entry.verdict == "accepted":
                in_force = last_adoption(db, self._shop)
                if in_force is None:
                    append_adoption(db, self._shop, adoption)
                elif in_force.digest != adoption.digest:
                    raise ContractChanged(expected=adoption.digest, actual=in_force.digest)
            return append_record(db, self._shop, "entry", entry.source_id, entry)

        return await self._file.run(append)

    async def adoption(self) -> Adoption | None:
        return await self._file.run(lambda db: last_adoption(db, self._shop))

    async def adopt(
        self, adoption: Adoption, *, replaces: int, head: int | None = None
    ) -> Adoption:
        def append(db: sqlite3.Connection) -> Adoption:
            in_force = last_adoption(db, self._shop)
            if (0 if in_force is None else in_force.sequence) != replaces:
                raise ContractChanged(actual=in_force and in_force.digest)
            last = head_of(db, self._shop)
            if head is not None and head != last:
                raise HeadMoved(expected=head, actual=last)
            return append_adoption(db, self._shop, adoption.at(0, replaces=replaces))

        return await self._file.run(append)

    async def erase(self, erasure: Erasure, *, head: int) -> Erasure:
        def append(db: sqlite3.Connection) -> Erasure:
            last = head_of(db, self._shop)
            if head != last:
                raise HeadMoved(expected=head, actual=last)
            return append_record(db, self._shop, "erasure", erasure.erasure_id, erasure)

        return await self._file.run(append)

    async def erasures(self) -> list[Erasure]:
        records = await self._of_kind("erasure")
        return [record for record in records if isinstance(record, Erasure)]

    async def _of_kind(self, kind: str) -> list[Record]:
        """Read all records of a kind, ascending by sequence."""
        # See `worker.state.sqlite.ledger_rows.check_erased`.
        query = "SELECT sequence, record FROM ledger WHERE shop = ? AND kind = ? ORDER BY +sequence"
        rows = await self._file.run(lambda db: db.execute(query, (self._shop, kind)).fetchall())
        return [record_from_json(text).at(sequence) for sequence, text in rows]

    async def rewritten(self, erasure_id: str) -> list[Entry]:
        query = (
            "SELECT sequence, record FROM ledger "
            "WHERE shop = ? AND kind = 'staged' AND name >= ? AND name < ? ORDER BY name"
        )
        prefix = erasure_prefix(erasure_id)
        names = (self._shop, prefix, prefix + "~")
        rows = await self._file.run(lambda db: db.execute(query, names).fetchall())
        return [Entry.from_json(text).at(sequence) for sequence, text in rows]

    async def erasure_key(self, proposed: bytes | None = None) -> bytes | None:
        return await self._file.run(lambda db: erasure_key(db, self._shop, proposed))

    async def rule(self, ruling: Ruling) -> Ruling:
        def append(db: sqlite3.Connection) -> Ruling:
            earlier = find_record(db, self._shop, "ruling", ruling.ruling_id, Ruling)
            return earlier or append_record(db, self._shop, "ruling", ruling.ruling_id, ruling)

        return await self._file.run(append)

    async def head(self) -> int:
        return await self._file.run(lambda db: head_of(db, self._shop))

    async def entries(self, *, after: int = 0, up_to: int | None = None) -> list[Entry]:
        records = await self.records(after=after, up_to=up_to)
        return [record for record in records if isinstance(record, Entry)]

    async def records(self, *, after: int = 0, up_to: int | None = None) -> list[Record]:
        query = (
            "SELECT sequence, record FROM ledger "
            "WHERE shop = ? AND sequence > ? AND sequence <= ? ORDER BY 1"
        )
        last = 2**62 if up_to is None else up_to
        # Row by row: all texts at once would take as much memory as the records.
        return await self._file.run(
            lambda db: [
                record_from_json(text).at(sequence)
                for sequence, text in db.execute(query, (self._shop, after, last))
            ]
        )

    async def rulings(self) -> list[Ruling]:
        records = await self._of_kind("ruling")
        return [record for record in records if isinstance(record, Ruling)]

    async def publish(self, day: DayKpis, as_of: int) -> Outcome:
        publication = _Publication(day, as_of)
        self._publications.append(publication)
        try:
            async with self._publishing:
                return publication.outcome or await self._publish_publications(publication)
        finally:
            self._publications.remove(publication)

    async def _publish_publications(self, first: _Publication) -> Outcome:
        """Publish a day together with others that wait, so that the disk is synced once."""
        others = [] if first.alone else [one for one in self._publications if one is not first]
        publications = [first, *others[: TRANSACTION_DAYS - 1]]
        try:
            outcomes = await self._file.run(
                lambda db: [publish_day(db, self._shop, one.day, one.as_of) for one in publications]
            )
        except Exception:
            if len(publications) == 1:
                raise
            # Whichever failed: it must not hold the others back.
            for publication in publications:
                publication.alone = True
            return await self._publish_publications(first)
        for publication, outcome in zip(publications, outcomes, strict=True):
            publication.outcome = outcome
        return outcomes[0]

    async def progress(self) -> Progress:
        return await self._file.run(lambda db: read_progress(db, self._shop))

    async def advance(self, progress: Progress) -> Progress:
        def merge(db: sqlite3.Connection) -> Progress:
            shop = self._shop
            before = read_progress(db, shop)
            merged = before.merge(progress)
            db.execute(
                "INSERT OR REPLACE INTO progress VALUES (?, ?, ?)",
                (shop, orjson.dumps(dict(merged.published)).decode(), merged.waiting_as_of),
            )
            db.executemany(
                "DELETE FROM waiting WHERE shop = ? AND source_id = ?",
                [(shop, one) for one in before.waiting if one not in merged.waiting],
            )
            db.executemany(
                "INSERT OR REPLACE INTO waiting (shop, source_id, items) VALUES (?, ?, ?)",
                [
                    (shop, source_id, items)
                    for source_id, items in merged.waiting.items()
                    if before.waiting.get(source_id) != items
                ],
            )
            return merged

        return await self._file.run(merge)

    async def lease(self) -> Lease:
        return await self._file.run(lambda db: read_lease(db, self._shop))

    async def put_lease(self, lease: Lease) -> bool:
        return await self._file.run(lambda db: put_lease(db, self._shop, lease))

    async def publication_times(
        self, *, first: date | None = None, last: date | None = None
    ) -> dict[date, datetime]:
        guards = await self._file.run(lambda db: read_guards(db, self._shop))
        low, high = first or date.min, last or date.max
        return {
            day: guard.published_at
            for day, guard in guards.items()
            if guard.published_at is not None and low <= day <= high
        }

    async def days(self) -> dict[date, Mapping[str, int]]:
        guards = await self._file.run(lambda db: read_guards(db, self._shop))
        return {day: guard.published for day, guard in guards.items()}

    async def rows(
        self,
        table: str,
        *,
        first: date | None = None,
        last: date | None = None,
        group: str | None = None,
    ) -> AsyncIterator[Row]:
        described = KPI_TABLES[table]
        order = ", ".join([*described.attributes][: 2 if described.group_key else 1])
        conditions = ["shop = ?", "order_date BETWEEN ? AND ?"]
        values = [self._shop, _iso(first, "0"), _iso(last, "9999z")]
        if group is not None and described.group_key:
            conditions.append(f"{described.group_key} = ?")
            values.append(group)
        # Names come from kpi.aggregation.tables, values are bound.
        conditions.append("order_date > ?")
        last_of_page = (
            f"SELECT order_date FROM {rows_table(described)} "
            f"WHERE {' AND '.join(conditions)} ORDER BY order_date LIMIT 1 OFFSET ?"
        )
        conditions.append("order_date <= ?")
        of_page = (
            f"SELECT {', '.join(columns_of(described))} FROM {rows_table(described)} "
            f"WHERE {' AND '.join(conditions)} ORDER BY {order}"
        )
        after: str | None = ""

        def page(db: sqlite3.Connection) -> tuple[list[Row], str | None]:
            """Read rows of the next days, and the last of these; None where none follow."""
            bounds = [*values, after]
            (end,) = db.execute(last_of_page, [*bounds, PAGE_ROWS]).fetchone() or (None,)
            found = db.execute(of_page, [*bounds, end or "9999z"]).fetchall()
            return [
                parse_row(described, (*row, as_of))
                for row, as_of in with_as_of(db, self._shop, table, found)
            ], end

        while after is not None:
            rows, after = await self._file.run(page)
            for row in rows:
                yield row


def _iso(day: date | None, default: str) -> str:
    return default if day is None else day.isoformat()
