"""Run transactions on one SQLite file, one after the other, in a thread of its own.

Every write is one immediate transaction, so that several processes may share the file; each waits
its turn.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from worker.errors import StoreError
from worker.objects.fsync import PRIVATE_FILE, make_folder
from worker.objects.readers import Readers, open_folder
from worker.state.sqlite.copy import copy_database
from worker.state.sqlite.schema import (
    COPY_SUFFIXES,
    MIGRATED_VERSIONS,
    SCHEMA_VERSION,
    check_version,
    create_tables,
    is_outdated,
    newer_format,
)

T = TypeVar("T")

SET_JOURNAL_MODE = {
    "WAL": "PRAGMA journal_mode = WAL",
    "DELETE": "PRAGMA journal_mode = DELETE",
}

BUSY_TIMEOUT_S = 60.0
"""Longest wait for another process's transaction; each takes milliseconds."""

BUSY_POLL_S = 1.0
"""Longest wait between two looks whether the state is being closed."""


class SqliteFile:
    """A database that is opened on first use."""

    def __init__(
        self, path: Path, *, read_only: bool = False, readers: Readers | None = None
    ) -> None:
        """Prepare the file; nothing is opened yet.

        Args:
            path: The file.
            read_only: Whether to open it for reading alone. A missing file then reads as an empty
                database, and is not created.
            readers: Who may read the file from now on; None leaves that as it is.
        """
        self._path = path
        self._readers = readers
        self._read_only = read_only
        self._opened_file: tuple[int, int] | None = None
        self._needs_no_log = False
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
            NewerFormat: A later release has migrated it.
            StoreError: SQLite or the file system failed.
        """

        def transact() -> T:
            try:
                db = self._connect()
                self._check_file()
                self._begin(db)
                try:
                    self._check_format(db)
                    result = work(db)
                    # Without WAL a commit waits for readers.
                    self._when_free(lambda: db.execute("COMMIT"))
                except BaseException:
                    # SQLite does that by itself where the disk is full.
                    if db.in_transaction:
                        db.execute("ROLLBACK")
                    raise
                self._check_file()
            except sqlite3.Error as error:
                raise StoreError(str(error), url=self.url) from error
            except OSError as error:
                raise StoreError(str(error.strerror or error), url=self.url) from error
            return result

        return await asyncio.get_running_loop().run_in_executor(self._thread, transact)

    def _begin(self, db: sqlite3.Connection) -> None:
        """Begin a transaction once no other process is writing."""
        if not self._read_only:
            self._when_free(lambda: db.execute("BEGIN IMMEDIATE"))
            return
        db.execute("BEGIN DEFERRED")
        # The first statement takes the lock that all others need.
        self._when_free(lambda: db.execute("SELECT count(*) FROM sqlite_master").fetchone())

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
            if self._read_only:
                db = self._open_to_read()
            else:
                make_folder(self._path.parent)
                # SQLite gives the log and its index the mode of the database.
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE))
                db = sqlite3.connect(self._path, timeout=BUSY_POLL_S, isolation_level=None)
            try:
                self._prepare(db)
            except BaseException:
                db.close()
                raise
            self._connection = db
        return self._connection

    def _open_to_read(self) -> sqlite3.Connection:
        if not self._path.exists():
            db = sqlite3.connect(":memory:", isolation_level=None)
            create_tables(db, 0)
            return db
        url = f"file://{quote(os.fsencode(self._path.absolute()))}?mode=ro"
        closed = not os.access(self._path.parent, os.W_OK)
        if closed and not self._log.exists() and _uses_log(self._path):
            # A reader creates the log's index, which it may not do here. Without a log nobody
            # writes, and the file can be read as it is (sqlite.org/wal.html, "Read-Only
            # Databases").
            url += "&immutable=1"
            self._needs_no_log = True
        db = sqlite3.connect(url, timeout=BUSY_POLL_S, isolation_level=None, uri=True)
        try:
            version = check_version(db, self.url)
            if version not in MIGRATED_VERSIONS and not is_outdated(db):
                return db
            # Read an earlier version as a migrated copy: only a writer migrates the file.
            copy = sqlite3.connect(":memory:", isolation_level=None)
            db.backup(copy)
        except BaseException:
            db.close()
            raise
        db.close()
        create_tables(copy, version)
        return copy

    def _open_to_readers(self) -> None:
        """Give file and folder the rights that the readers need."""
        if self._readers is not None:
            self._path.chmod(self._readers.file_mode)
            open_folder(self._path.parent, self._readers)

    def _journal_mode(self, db: sqlite3.Connection, version: int) -> str:
        """Choose WAL, unless other users read the file.

        A reader in WAL mode writes the log's index, which another user may not
        (sqlite.org/wal.html, "Read-Only Databases").
        """
        if self._readers is not None:
            return "WAL" if self._readers is Readers.OWNER else "DELETE"
        (present,) = db.execute("PRAGMA journal_mode").fetchone()
        is_shared = self._path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH)
        # A new file is in DELETE mode before it has tables.
        return "DELETE" if version and present == "delete" and is_shared else "WAL"

    @property
    def _log(self) -> Path:
        return self._path.with_name(self._path.name + "-wal")

    def _prepare(self, db: sqlite3.Connection) -> None:
        """Set up the connection, and create missing tables."""
        # KiB. The default is four times as much, for a ledger that is read once.
        db.execute("PRAGMA cache_size = -512")
        version = check_version(db, self.url)  # before anything is written
        if not self._read_only:
            self._open_to_readers()  # before SQLite gives these rights to a new log
            set_mode = SET_JOURNAL_MODE[self._journal_mode(db, version)]
            # In WAL mode readers never wait for a writer, and a commit is on the disk when it
            # returns. Another process that has opened the database holds a lock that the timeout
            # does not wait for (sqlite.org/wal.html: a change of the mode may fail with
            # SQLITE_BUSY at once).
            self._when_free(lambda: db.execute(set_mode).close())
            db.execute("PRAGMA synchronous = FULL")
            if version != SCHEMA_VERSION or is_outdated(db):
                self._begin(db)
                version = check_version(db, self.url)
                if version in MIGRATED_VERSIONS:
                    # In the transaction, so that nothing is committed behind the copy.
                    copy_database(self._path, COPY_SUFFIXES[version])
                create_tables(db, version)
                db.execute("COMMIT")
        self._opened_file = _file_id(self._path)

    def _check_format(self, db: sqlite3.Connection) -> None:
        """Check that no later release has migrated the file since it was opened.

        Raises:
            NewerFormat: One has.
        """
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version != SCHEMA_VERSION:
            raise newer_format(self.url, version)

    def _check_file(self) -> None:
        """Check that the file at the path is still the one that was opened.

        SQLite goes on writing to a deleted file, and every commit succeeds.

        Raises:
            StoreError: It was deleted or replaced.
        """
        if self._opened_file != _file_id(self._path):
            raise StoreError(
                "the database was deleted or replaced while it was in use",
                url=self.url,
                hint="run the command again",
            )
        if self._needs_no_log and self._log.exists():
            raise StoreError("a writer has begun while it was read", url=self.url, hint="try again")


def _file_id(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from every other that exists; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _uses_log(path: Path) -> bool:
    """Whether a database is in WAL mode: byte 19 of its header (sqlite.org/fileformat.html)."""
    try:
        with path.open("rb") as file:
            return file.read(20)[19:] == b"\x02"
    except OSError:  # SQLite names it
        return False
