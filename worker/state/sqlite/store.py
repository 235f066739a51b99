"""Ledger and KPI tables in one SQLite file: the default of a local run."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TypeVar

import orjson

from kpi.aggregation.tables import KPI_TABLES
from worker.errors import ContractChanged, CustomersErased, HeadMoved, StoreError
from worker.objects.readers import Readers
from worker.state import (
    Adoption,
    DayKpis,
    Effect,
    Entry,
    Erasure,
    Outcome,
    Progress,
    Record,
    Row,
    Ruling,
    Sighting,
)
from worker.state.corruption import parsing
from worker.state.day_guard import Guard
from worker.state.entry import erasure_prefix, name_of_staged, staged_name
from worker.state.records import record_from_json
from worker.state.sqlite.connection import SqliteFile
from worker.state.sqlite.erasure_key import erasure_key
from worker.state.sqlite.kpi_columns import stored_names
from worker.state.sqlite.rows import parse_row, replace_rows

R = TypeVar("R", Entry, Ruling, Adoption, Erasure)

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


class SqliteState:
    """`State` over SQLite, for one event loop. Decimals are kept as text with all their digits."""

    def __init__(
        self, path: Path, *, read_only: bool = False, readers: Readers | None = None
    ) -> None:
        self._file = SqliteFile(path, read_only=read_only, readers=readers)
        self._publishing = asyncio.Lock()
        self._publications: list[_Publication] = []

    @classmethod
    async def open(
        cls, path: Path, *, read_only: bool = False, readers: Readers | None = None
    ) -> SqliteState:
        """Open the file, creating it and its tables where they are missing.

        Args:
            path: The file.
            read_only: Whether to open it for reading alone. A missing file then reads as an empty
                database, and is not created.
            readers: Who may read the file from now on; None leaves that as it is.

        Raises:
            ConfigError: The file is not a database of this schema.
            StoreError: It cannot be opened.
        """
        state = cls(path, read_only=read_only, readers=readers)
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
        return await self._file.run(lambda db: _find(db, "entry", source_id, Entry))

    async def find_staged(self, source_id: str, contract: str) -> Entry | None:
        name = staged_name(source_id, contract)
        return await self._file.run(lambda db: _find(db, "staged", name, Entry))

    async def stage(self, entry: Entry) -> Entry:
        name = name_of_staged(entry)

        def append(db: sqlite3.Connection) -> Entry:
            earlier = _find(db, "staged", name, Entry)
            if earlier is not None:
                return earlier
            _check_erased(db, entry)
            return _append(db, "staged", name, entry)

        return await self._file.run(append)

    async def commit(
        self, entry: Entry, *, adoption: Adoption | None = None, replaces: int = 0
    ) -> Entry:
        def append(db: sqlite3.Connection) -> Entry:
            earlier = _find(db, "entry", entry.source_id, Entry)
            if earlier is not None and earlier.stands(entry.contract, replaces):
                return earlier
            _check_erased(db, entry)
            if adoption is not None and entry.verdict == "accepted":
                in_force = _adoption(db)
                if in_force is None:
                    _append_adoption(db, adoption)
                elif in_force.digest != adoption.digest:
                    raise ContractChanged(expected=adoption.digest, actual=in_force.digest)
            return _append(db, "entry", entry.source_id, entry)

        return await self._file.run(append)

    async def adoption(self) -> Adoption | None:
        return await self._file.run(_adoption)

    async def adopt(
        self, adoption: Adoption, *, replaces: int, head: int | None = None
    ) -> Adoption:
        def append(db: sqlite3.Connection) -> Adoption:
            in_force = _adoption(db)
            if (0 if in_force is None else in_force.sequence) != replaces:
                raise ContractChanged(actual=in_force and in_force.digest)
            (last,) = db.execute(_HEAD).fetchone()
            if head is not None and head != last:
                raise HeadMoved(expected=head, actual=last)
            return _append_adoption(db, adoption.at(0, replaces=replaces))

        return await self._file.run(append)

    async def erase(self, erasure: Erasure, *, head: int) -> Erasure:
        def append(db: sqlite3.Connection) -> Erasure:
            (last,) = db.execute(_HEAD).fetchone()
            if head != last:
                raise HeadMoved(expected=head, actual=last)
            return _append(db, "erasure", erasure.erasure_id, erasure)

        return await self._file.run(append)

    async def erasures(self) -> list[Erasure]:
        query = "SELECT sequence, record FROM ledger WHERE kind = 'erasure' ORDER BY 1"
        rows = await self._file.run(lambda db: db.execute(query).fetchall())
        records = [record_from_json(text).at(sequence) for sequence, text in rows]
        return [record for record in records if isinstance(record, Erasure)]

    async def rewritten(self, erasure_id: str) -> list[Entry]:
        query = (
            "SELECT sequence, record FROM ledger "
            "WHERE kind = 'staged' AND name >= ? AND name < ? ORDER BY name"
        )
        prefix = erasure_prefix(erasure_id)
        rows = await self._file.run(lambda db: db.execute(query, (prefix, prefix + "~")).fetchall())
        return [Entry.from_json(text).at(sequence) for sequence, text in rows]

    async def erasure_key(self, proposed: bytes | None = None) -> bytes | None:
        return await self._file.run(lambda db: erasure_key(db, proposed))

    async def rule(self, ruling: Ruling) -> Ruling:
        def append(db: sqlite3.Connection) -> Ruling:
            earlier = _find(db, "ruling", ruling.ruling_id, Ruling)
            return earlier or _append(db, "ruling", ruling.ruling_id, ruling)

        return await self._file.run(append)

    async def head(self) -> int:
        query = _HEAD
        (head,) = await self._file.run(lambda db: db.execute(query).fetchone())
        return int(head)

    async def entries(self, *, after: int = 0, up_to: int | None = None) -> list[Entry]:
        records = await self.records(after=after, up_to=up_to)
        return [record for record in records if isinstance(record, Entry)]

    async def records(self, *, after: int = 0, up_to: int | None = None) -> list[Record]:
        query = (
            "SELECT sequence, record FROM ledger WHERE sequence > ? AND sequence <= ? ORDER BY 1"
        )
        last = 2**62 if up_to is None else up_to
        # Row by row: all texts at once would take as much memory as the records.
        return await self._file.run(
            lambda db: [
                record_from_json(text).at(sequence)
                for sequence, text in db.execute(query, (after, last))
            ]
        )

    async def rulings(self) -> list[Ruling]:
        query = "SELECT sequence, record FROM ledger WHERE kind = 'ruling' ORDER BY 1"
        rows = await self._file.run(lambda db: db.execute(query).fetchall())
        records = [record_from_json(text).at(sequence) for sequence, text in rows]
        return [record for record in records if isinstance(record, Ruling)]

    async def record_effects(self, effects: Mapping[str, Effect]) -> None:
        statement = (
            "INSERT INTO effects (source_id, as_of, effect) VALUES (?, ?, ?) "
            "ON CONFLICT (source_id) DO UPDATE SET as_of = excluded.as_of, "
            "effect = excluded.effect WHERE excluded.as_of >= effects.as_of"
        )
        rows = [(one, effect.as_of, effect.to_json().decode()) for one, effect in effects.items()]
        await self._file.run(lambda db: db.executemany(statement, rows))

    async def effects(self, source_ids: Sequence[str]) -> dict[str, Effect]:
        query = "SELECT effect FROM effects WHERE source_id = ?"

        def look_up(db: sqlite3.Connection) -> dict[str, Effect]:
            found = {}
            for source_id in source_ids:
                row = db.execute(query, (source_id,)).fetchone()
                if row:
                    found[source_id] = Effect.from_json(row[0])
            return found

        return await self._file.run(look_up)

    async def record_sighting(self, source_id: str, sighting: Sighting) -> None:
        statement = "INSERT OR REPLACE INTO sightings (source_id, sighting) VALUES (?, ?)"
        row = (source_id, sighting.to_json().decode())
        await self._file.run(lambda db: db.execute(statement, row))

    async def sightings(self, source_ids: Sequence[str]) -> dict[str, Sighting]:
        query = "SELECT sighting FROM sightings WHERE source_id = ?"

        def look_up(db: sqlite3.Connection) -> dict[str, Sighting]:
            found = {}
            for source_id in source_ids:
                row = db.execute(query, (source_id,)).fetchone()
                if row:
                    found[source_id] = Sighting.from_json(row[0])
            return found

        return await self._file.run(look_up)

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
            outcomes = await self._file.run(lambda db: [_publish(db, one) for one in publications])
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
        return await self._file.run(_read_progress)

    async def advance(self, progress: Progress) -> Progress:
        def merge(db: sqlite3.Connection) -> Progress:
            before = _read_progress(db)
            merged = before.merge(progress)
            record = orjson.dumps(
                {"published": dict(merged.published), "waiting_as_of": merged.waiting_as_of}
            )
            db.execute("INSERT OR REPLACE INTO progress VALUES (1, ?)", (record.decode(),))
            db.executemany(
                "DELETE FROM waiting WHERE source_id = ?",
                [(one,) for one in before.waiting if one not in merged.waiting],
            )
            db.executemany(
                "INSERT OR REPLACE INTO waiting (source_id, items) VALUES (?, ?)",
                [one for one in merged.waiting.items() if before.waiting.get(one[0]) != one[1]],
            )
            return merged

        return await self._file.run(merge)

    async def days(self) -> dict[date, Mapping[str, int]]:
        guards = await self._file.run(_read_guards)
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
        conditions, values = ["order_date BETWEEN ? AND ?"], [_iso(first, "0"), _iso(last, "9999z")]
        if group is not None and described.group_key:
            conditions.append(f"{described.group_key} = ?")
            values.append(group)
        # Names come from kpi.aggregation.tables, values are bound.
        conditions.append("order_date > ?")
        last_of_page = (
            f"SELECT order_date FROM {table} "
            f"WHERE {' AND '.join(conditions)} ORDER BY order_date LIMIT 1 OFFSET ?"
        )
        conditions.append("order_date <= ?")
        after: str | None = ""

        def page(db: sqlite3.Connection) -> tuple[list[Row], str | None]:
            """Read rows of the next days, and the last of these; None where none follow."""
            bounds = [*values, after]
            (end,) = db.execute(last_of_page, [*bounds, PAGE_ROWS]).fetchone() or (None,)
            names = [*stored_names(db, described), "as_of"]
            of_page = (
                f"SELECT {', '.join(names)} FROM {table} "
                f"WHERE {' AND '.join(conditions)} ORDER BY {order}"
            )
            found = db.execute(of_page, [*bounds, end or "9999z"]).fetchall()
            return [parse_row(described, names, row) for row in found], end

        while after is not None:
            rows, after = await self._file.run(page)
            for row in rows:
                yield row


_HEAD = "SELECT coalesce(max(sequence), 0) FROM ledger"


def _find(db: sqlite3.Connection, kind: str, name: str, of: type[R]) -> R | None:
    """Return the last record of a kind and a name; None before its commit."""
    query = (
        "SELECT sequence, record FROM ledger WHERE kind = ? AND name = ? "
        "ORDER BY sequence DESC LIMIT 1"
    )
    row = db.execute(query, (kind, name)).fetchone()
    if row is None:
        return None
    record = record_from_json(row[1]).at(row[0])
    if not isinstance(record, of):
        raise StoreError(
            f"record {row[0]} of the ledger is of another kind",
            expected=kind,
            actual=type(record).__name__.lower(),
            retryable=False,
        )
    return record


def _check_erased(db: sqlite3.Connection, entry: Entry) -> None:
    """Check that an entry was made under the last erasure."""
    query = "SELECT coalesce(max(sequence), 0) FROM ledger WHERE kind = 'erasure'"
    (last,) = db.execute(query).fetchone()
    if last != entry.erased:
        raise CustomersErased(url=entry.url)


def _append(db: sqlite3.Connection, kind: str, name: str, record: R) -> R:
    """Append a record under the next sequence."""
    (head,) = db.execute(_HEAD).fetchone()
    committed = record.at(head + 1)
    db.execute(
        "INSERT INTO ledger (sequence, kind, name, record) VALUES (?, ?, ?, ?)",
        (committed.sequence, kind, name, committed.to_json().decode()),
    )
    return committed


def _adoption(db: sqlite3.Connection) -> Adoption | None:
    query = (
        "SELECT sequence, record FROM ledger WHERE kind = 'adoption' ORDER BY sequence DESC LIMIT 1"
    )
    row = db.execute(query).fetchone()
    record = None if row is None else record_from_json(row[1]).at(row[0])
    return record if isinstance(record, Adoption) else None


def _append_adoption(db: sqlite3.Connection, adoption: Adoption) -> Adoption:
    (head,) = db.execute(_HEAD).fetchone()
    # A contract may come into force again: its sequence is its name.
    return _append(db, "adoption", str(head + 1), adoption)


def _publish(db: sqlite3.Connection, publication: _Publication) -> Outcome:
    """Publish a day in the open transaction."""
    day, as_of = publication.day, publication.as_of
    order_date = day.order_date.isoformat()
    guard = _read_guards(db, order_date).get(day.order_date, Guard())
    verdict = guard.verdict(day.tables, as_of)
    if verdict is not None:
        return verdict
    for name, rows in day.tables.items():
        replace_rows(db, KPI_TABLES[name], order_date, rows, as_of)
    after = guard.next(as_of, day.tables)
    db.execute(
        "INSERT OR REPLACE INTO days VALUES (?, ?, ?, ?)",
        (order_date, after.version, after.claim, orjson.dumps(after.published).decode()),
    )
    return Outcome.PUBLISHED


def _read_guards(db: sqlite3.Connection, order_date: str | None = None) -> dict[date, Guard]:
    """Read the guards of all days, or of one."""
    query = "SELECT order_date, version, claim, published FROM days"
    values: tuple[str, ...] = ()
    if order_date is not None:
        query, values = query + " WHERE order_date = ?", (order_date,)
    guards = {}
    for day, version, claim, published in db.execute(query, values):
        with parsing(f"guard of {day}"):
            tables = orjson.loads(published).items()
            guards[date.fromisoformat(day)] = Guard(
                version=int(version),
                claim=int(claim),
                published={table: int(as_of) for table, as_of in tables},
            )
    return guards


def _read_progress(db: sqlite3.Connection) -> Progress:
    row = db.execute("SELECT record FROM progress").fetchone()
    if not row:
        return Progress()
    with parsing("progress record"):
        query = "SELECT source_id, items FROM waiting"
        waiting = {source_id: int(items) for source_id, items in db.execute(query)}
        return Progress(**orjson.loads(row[0]), waiting=waiting)


def _iso(day: date | None, default: str) -> str:
    return default if day is None else day.isoformat()
