"""Run transactions on one SQLite file, one after the other, in a thread of its own.

Every write is one immediate transaction, so that several processes may share the file; each waits
its turn.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from kpi.aggregation.tables import KPI_TABLES, Kind, KpiTable
from worker.errors import ConfigError, StoreError
from worker.objects.fsync import make_folder

T = TypeVar("T")

BUSY_TIMEOUT_S = 60.0
"""Longest wait for another process's transaction; each takes milliseconds."""

BUSY_POLL_S = 1.0
"""Longest wait between two looks whether the state is being closed."""

SCHEMA_VERSION = 2
"""Version in the file's header; raised whenever the tables below change."""

_LEDGER = """
CREATE TABLE IF NOT EXISTS ledger (
    sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, record TEXT NOT NULL,
    UNIQUE (kind, name)
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

_FROM_VERSION_1 = """
ALTER TABLE ledger RENAME TO ledger_1;
CREATE TABLE ledger (
    sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, record TEXT NOT NULL,
    UNIQUE (kind, name)
);
INSERT INTO ledger SELECT sequence, 'entry', source_id, entry FROM ledger_1;
DROP TABLE ledger_1
"""
"""Brings a database of release 0.1.0, whose ledger held entries alone, to version 2."""


class SqliteFile:
    """A database that is opened on first use."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        # sqlite3 connections stay on the thread that made them.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._stopping = threading.Event()

    @property
    def url(self) -> str:
        """Name the database in messages."""
        return f"sqlite://{self._path}"

    def stop(self) -> None:
        """End every wait for another process."""
        self._stopping.set()

    async def close(self) -> None:
        """Close connection and thread."""
        self.stop()
        if self._connection is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown()

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in one immediate transaction; it is rolled back where an error is raised.

        Raises:
            ConfigError: The file is not a database of this schema.
            StoreError: SQLite or the file system failed.
        """

        def transact() -> T:
            try:
                db = self._connect()
                self._begin(db)
                try:
                    result = work(db)
                    db.execute("COMMIT")
                except BaseException:
                    # SQLite does that by itself where the disk is full.
                    if db.in_transaction:
                        db.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise StoreError(str(error), url=self.url) from error
            except OSError as error:
                raise StoreError(str(error.strerror or error), url=self.url) from error
            return result

        return await asyncio.get_running_loop().run_in_executor(self._thread, transact)

    def _begin(self, db: sqlite3.Connection) -> None:
        """Begin a transaction once no other process is writing."""
        self._when_free(lambda: db.execute("BEGIN IMMEDIATE"))

    def _when_free(self, act: Callable[[], object]) -> None:
        """Retry an action until no other process holds a lock that it needs.

        Raises:
            sqlite3.OperationalError: `SQLITE_BUSY` after `BUSY_TIMEOUT_S`, or once the state is
                being closed. Nothing else ends the wait of a thread, and a process that has to stop
                has seconds.
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
            db = sqlite3.connect(self._path, timeout=BUSY_POLL_S, isolation_level=None)
            try:
                self._prepare(db)
            except BaseException:
                db.close()
                raise
            self._connection = db
        return self._connection

    def _prepare(self, db: sqlite3.Connection) -> None:
        """Set up the connection, and create missing tables."""
        # Readers never wait for a writer, and a commit is on the disk when it returns. Another
        # process that opens a new database holds a lock that the timeout does not wait for
        # (sqlite.org/wal.html: a change of the mode may fail with SQLITE_BUSY at once).
        self._when_free(lambda: db.execute("PRAGMA journal_mode = WAL").close())
        db.execute("PRAGMA synchronous = FULL")
        # KiB. The default is four times as much, for a ledger that is read once.
        db.execute("PRAGMA cache_size = -512")
        self._begin(db)
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (present,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if present and version == 1:
            # The transaction is one: whoever is killed here leaves version 1 as it was.
            for statement in _FROM_VERSION_1.split(";"):
                db.execute(statement)
        elif present and version != SCHEMA_VERSION:
            raise ConfigError(
                url=self.url,
                expected=f"a database of schema {SCHEMA_VERSION}",
                actual=f"{version}: it is not shopkpi's, or another version made it",
                hint="use another one",
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
    columns = [f"{name} {_sql_type(kind)} NOT NULL" for name, kind in table.attributes.items()]
    key = "order_date" + (f", {table.group_key}" if table.group_key else "")
    return (
        f"CREATE TABLE IF NOT EXISTS {table.name} "
        f"({', '.join(columns)}, as_of INTEGER NOT NULL, PRIMARY KEY ({key})) WITHOUT ROWID"
    )


def _sql_type(kind: Kind) -> str:
    return "INTEGER" if kind == "count" else "TEXT"
