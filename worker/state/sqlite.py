"""Ledger and KPI tables in one SQLite file: the default of a local run.

Every write is one immediate transaction, so that several processes may share the file; each waits
its turn.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import orjson
import pyarrow as pa

from kpi.tables import KPI_TABLES, KpiTable
from worker.durable import make_folder
from worker.errors import ConfigError, StoreError
from worker.state import DayKpis, Effect, Entry, Outcome, Progress, Row
from worker.state.damage import as_written
from worker.state.guard import Guard

T = TypeVar("T")

BUSY_TIMEOUT_S = 60.0
"""How long a process waits for another's transaction; each takes milliseconds."""

BUSY_LOOK_S = 1.0
"""How long it waits before it looks whether it is to stop."""

ROWS_AT_ONCE = 10_000
"""KPI rows read in one transaction, and those of the day that they end in."""

SCHEMA_VERSION = 1
"""Stands in the file's header; raised whenever the tables below change."""

_LEDGER = """
CREATE TABLE IF NOT EXISTS ledger (
    sequence INTEGER PRIMARY KEY, source_id TEXT NOT NULL UNIQUE, entry TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS effects (
    source_id TEXT PRIMARY KEY, as_of INTEGER NOT NULL, effect TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS days (
    order_date TEXT PRIMARY KEY, version INTEGER NOT NULL, claim INTEGER NOT NULL,
    published TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS progress (
    id INTEGER PRIMARY KEY CHECK (id = 1), record TEXT NOT NULL
);
"""


class SqliteState:
    """`State` over SQLite. Decimals are kept as text with all their digits."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        # sqlite3 connections stay on the thread that made them.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._stopping = threading.Event()

    @classmethod
    async def open(cls, path: Path) -> SqliteState:
        """Open the file, creating it and its tables where they are missing."""
        state = cls(path)
        try:
            await state._run(lambda _: None)
        except BaseException:
            await state.close()
            raise
        return state

    async def close(self) -> None:
        self._stopping.set()
        if self._connection is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown()

    async def create_tables(self) -> list[str]:
        return []  # opening has created them

    async def find(self, source_id: str) -> Entry | None:
        query = "SELECT sequence, entry FROM ledger WHERE source_id = ?"
        row = await self._run(lambda db: db.execute(query, (source_id,)).fetchone())
        return Entry.from_json(row[1]).at(row[0]) if row else None

    async def commit(self, entry: Entry) -> Entry:
        def append(db: sqlite3.Connection) -> Entry:
            row = db.execute(
                "SELECT sequence, entry FROM ledger WHERE source_id = ?", (entry.source_id,)
            ).fetchone()
            if row:
                return Entry.from_json(row[1]).at(row[0])
            (head,) = db.execute("SELECT coalesce(max(sequence), 0) FROM ledger").fetchone()
            committed = entry.at(head + 1)
            db.execute(
                "INSERT INTO ledger (sequence, source_id, entry) VALUES (?, ?, ?)",
                (committed.sequence, committed.source_id, committed.to_json().decode()),
            )
            return committed

        return await self._run(append)

    async def head(self) -> int:
        query = "SELECT coalesce(max(sequence), 0) FROM ledger"
        (head,) = await self._run(lambda db: db.execute(query).fetchone())
        return int(head)

    async def entries(self, *, after: int = 0, up_to: int | None = None) -> list[Entry]:
        query = "SELECT sequence, entry FROM ledger WHERE sequence > ? AND sequence <= ? ORDER BY 1"
        last = 2**62 if up_to is None else up_to
        # Row by row: their texts together would take as much memory as the entries.
        return await self._run(
            lambda db: [
                Entry.from_json(entry).at(sequence)
                for sequence, entry in db.execute(query, (after, last))
            ]
        )

    async def record_effects(self, effects: Mapping[str, Effect]) -> None:
        statement = (
            "INSERT INTO effects (source_id, as_of, effect) VALUES (?, ?, ?) "
            "ON CONFLICT (source_id) DO UPDATE SET as_of = excluded.as_of, "
            "effect = excluded.effect WHERE excluded.as_of >= effects.as_of"
        )
        rows = [(one, effect.as_of, effect.to_json().decode()) for one, effect in effects.items()]
        await self._run(lambda db: db.executemany(statement, rows))

    async def effects(self, source_ids: Sequence[str]) -> dict[str, Effect]:
        query = "SELECT effect FROM effects WHERE source_id = ?"

        def look_up(db: sqlite3.Connection) -> dict[str, Effect]:
            found = {}
            for source_id in source_ids:
                row = db.execute(query, (source_id,)).fetchone()
                if row:
                    found[source_id] = Effect.from_json(row[0])
            return found

        return await self._run(look_up)

    async def publish(self, day: DayKpis, as_of: int) -> Outcome:
        def replace(db: sqlite3.Connection) -> Outcome:
            order_date = day.order_date.isoformat()
            guard = _read_guards(db, order_date).get(day.order_date, Guard())
            verdict = guard.verdict(day.tables, as_of)
            if verdict is not None:
                return verdict
            for name, rows in day.tables.items():
                _replace_rows(db, KPI_TABLES[name], order_date, rows, as_of)
            after = guard.next(as_of, day.tables)
            db.execute(
                "INSERT OR REPLACE INTO days VALUES (?, ?, ?, ?)",
                (order_date, after.version, after.claim, orjson.dumps(after.published).decode()),
            )
            return Outcome.PUBLISHED

        return await self._run(replace)

    async def progress(self) -> Progress:
        return await self._run(_read_progress)

    async def advance(self, progress: Progress) -> Progress:
        def merge(db: sqlite3.Connection) -> Progress:
            merged = _read_progress(db).merge(progress)
            record = orjson.dumps(
                {
                    "published": dict(merged.published),
                    "waiting": dict(merged.waiting),
                    "waiting_as_of": merged.waiting_as_of,
                }
            )
            db.execute("INSERT OR REPLACE INTO progress VALUES (1, ?)", (record.decode(),))
            return merged

        return await self._run(merge)

    async def days(self) -> dict[date, Mapping[str, int]]:
        guards = await self._run(_read_guards)
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
        names = [*described.schema.names, "as_of"]
        order = ", ".join(described.schema.names[: 2 if described.group_key else 1])
        conditions, values = ["order_date BETWEEN ? AND ?"], [_iso(first, "0"), _iso(last, "9999z")]
        if group is not None and described.group_key:
            conditions.append(f"{described.group_key} = ?")
            values.append(group)
        # Names come from kpi.tables, values are bound.
        conditions.append("order_date > ?")
        last_of_page = (
            f"SELECT order_date FROM {table} "  # noqa: S608
            f"WHERE {' AND '.join(conditions)} ORDER BY order_date LIMIT 1 OFFSET ?"
        )
        conditions.append("order_date <= ?")
        of_page = (
            f"SELECT {', '.join(names)} FROM {table} "  # noqa: S608
            f"WHERE {' AND '.join(conditions)} ORDER BY {order}"
        )
        after: str | None = ""

        def page(db: sqlite3.Connection) -> tuple[list[tuple[Any, ...]], str | None]:
            """Rows of some days more, and the last of these; None where there are no others."""
            bounds = [*values, after]
            (end,) = db.execute(last_of_page, [*bounds, ROWS_AT_ONCE]).fetchone() or (None,)
            return db.execute(of_page, [*bounds, end or "9999z"]).fetchall(), end

        while after is not None:
            rows, after = await self._run(page)
            for row in rows:
                yield _from_row(described, names, row)

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` in one immediate transaction."""

        def transact() -> T:
            try:
                db = self._connect()
                self._begin(db)
                try:
                    result = work(db)
                except BaseException:
                    db.execute("ROLLBACK")
                    raise
                db.execute("COMMIT")
            except sqlite3.Error as error:
                raise StoreError(f"sqlite://{self._path}: {error}") from error
            except OSError as error:
                raise StoreError(f"sqlite://{self._path}: {error.strerror or error}") from error
            return result

        return await asyncio.get_running_loop().run_in_executor(self._thread, transact)

    def _begin(self, db: sqlite3.Connection) -> None:
        """Begin a transaction, when it is our turn."""
        self._when_free(lambda: db.execute("BEGIN IMMEDIATE"))

    def _when_free(self, act: Callable[[], object]) -> None:
        """Do something as soon as no other process is in its way.

        Errors: SQLite's `SQLITE_BUSY` after `BUSY_TIMEOUT_S`, or when the state is being closed:
            nothing else ends the waiting of a thread, and a process that is told to stop has
            seconds.
        """
        give_up = time.monotonic() + BUSY_TIMEOUT_S
        while True:
            try:
                act()
            except sqlite3.OperationalError as error:
                code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the lower byte: primary code
                busy = code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
                if not busy or self._stopping.is_set() or time.monotonic() >= give_up:
                    raise
                time.sleep(0.01)
            else:
                return

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            make_folder(self._path.parent)
            db = sqlite3.connect(self._path, timeout=BUSY_LOOK_S, isolation_level=None)
            try:
                self._prepare(db)
            except BaseException:
                db.close()
                raise
            self._connection = db
        return self._connection

    def _prepare(self, db: sqlite3.Connection) -> None:
        """How the connection is used, and the tables that are missing."""
        # Readers never wait for a writer, and a commit is on the disk when it returns. Who opens a
        # new database at the same time holds a lock that the timeout does not wait for
        # (sqlite.org/wal.html: the change of the mode may answer SQLITE_BUSY at once).
        self._when_free(lambda: db.execute("PRAGMA journal_mode = WAL").close())
        db.execute("PRAGMA synchronous = FULL")
        # KiB. By itself SQLite holds four times as much, of a ledger that is read but once.
        db.execute("PRAGMA cache_size = -512")
        self._begin(db)
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (present,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if present and version != SCHEMA_VERSION:
            raise ConfigError(
                f"sqlite://{self._path}: expected a database of schema {SCHEMA_VERSION}, got "
                f"{version}: it is not shopkpi's, or another version made it; use another one"
            )
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        for statement in (*_LEDGER.split(";"), *map(_create_statement, KPI_TABLES.values())):
            db.execute(statement)
        for table in KPI_TABLES.values():
            for index in table.indexes:
                if index.name != "by_month":  # dates are a primary key's first column here
                    db.execute(
                        f"CREATE INDEX IF NOT EXISTS {table.name}_{index.name} "
                        f"ON {table.name} ({index.partition_key}, {index.sort_key})"
                    )
        db.execute("COMMIT")


def _create_statement(table: KpiTable) -> str:
    columns = [f"{field.name} {_sql_type(field.type)} NOT NULL" for field in table.schema]
    key = "order_date" + (f", {table.group_key}" if table.group_key else "")
    return (
        f"CREATE TABLE IF NOT EXISTS {table.name} "
        f"({', '.join(columns)}, as_of INTEGER NOT NULL, PRIMARY KEY ({key})) WITHOUT ROWID"
    )


def _sql_type(kind: pa.DataType) -> str:
    return "INTEGER" if pa.types.is_integer(kind) else "TEXT"


def _replace_rows(
    db: sqlite3.Connection, table: KpiTable, order_date: str, rows: Sequence[Row], as_of: int
) -> None:
    names = table.schema.names
    # Names come from kpi.tables, values are bound.
    db.execute(f"DELETE FROM {table.name} WHERE order_date = ?", (order_date,))  # noqa: S608
    places = ", ".join("?" * (len(names) + 1))
    db.executemany(
        f"INSERT INTO {table.name} ({', '.join(names)}, as_of) VALUES ({places})",  # noqa: S608
        [(*(_to_sql(row[name]) for name in names), as_of) for row in rows],
    )


def _read_guards(db: sqlite3.Connection, order_date: str | None = None) -> dict[date, Guard]:
    """The guards of all days, or of one."""
    query = "SELECT order_date, version, claim, published FROM days"
    values: tuple[str, ...] = ()
    if order_date is not None:
        query, values = query + " WHERE order_date = ?", (order_date,)
    guards = {}
    for day, version, claim, published in db.execute(query, values):
        with as_written(f"guard of {day}"):
            guards[date.fromisoformat(day)] = Guard(
                version=version, claim=claim, published=orjson.loads(published)
            )
    return guards


def _to_sql(value: str | int | Decimal) -> str | int:
    return f"{value:f}" if isinstance(value, Decimal) else value


def _from_row(table: KpiTable, names: list[str], row: Sequence[str | int]) -> Row:
    values: dict[str, str | int | Decimal] = dict(zip(names, row, strict=True))
    with as_written(f"row of {table.name} of {values['order_date']}"):
        date.fromisoformat(str(values["order_date"]))
        for column in table.schema:
            if pa.types.is_decimal(column.type):
                values[column.name] = Decimal(values[column.name])
    return values


def _read_progress(db: sqlite3.Connection) -> Progress:
    row = db.execute("SELECT record FROM progress").fetchone()
    with as_written("progress record"):
        return Progress(**orjson.loads(row[0])) if row else Progress()


def _iso(day: date | None, default: str) -> str:
    return default if day is None else day.isoformat()
