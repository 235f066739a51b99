"""Number every file operation and SQLite statement of a run, and make chosen ones fail.

A run takes place in a forked child, on one thread and so in the same order each time. What Python
does with files goes through the functions of `os`, and a file being written through `io.FileIO`,
SQLite's through its connection: each call is one operation here. Within a SQLite statement nothing
is interrupted: SQLite itself promises that a commit is atomic.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import os
import pickle
import re
import secrets
import sqlite3
import sys
import tempfile
import warnings
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from shutil import copytree
from typing import Any, TypeVar
from unittest import mock

import aiofiles.threadpool
import uvloop

import worker.cli
import worker.cli.event_loop
import worker.jobs
import worker.runtime.concurrency
import worker.state.sqlite.connection
import worker.validate.recognition
from tests.recovery.disk import Disk
from tests.recovery.inline import Inline
from worker.state.secret import SECRET_BYTES
from worker.validate import file_versions

T = TypeVar("T")

KILLED = "killed"
POWER = "power failure"
UPLOADS = "shop"
"""Folder below the working folder that users write."""

FAILED = ("ENOSPC", "EIO", "EACCES")

_SQLITE_SAYS = {
    "ENOSPC": "database or disk is full",
    "EIO": "disk I/O error",
    "EACCES": "attempt to write a readonly database",
}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation.

    Attributes:
        name: What it does, with names of temporary files made equal.
        kinds: Ways in which it can fail.
    """

    name: str
    kinds: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What a run leaves behind when it ends between two operations.

    Attributes:
        kind: `KILLED`: all that was done is there. `POWER`: only what was synced.
        after: Operations done.
        step: The command under way.
        folder: A copy of what is there.
    """

    kind: str
    after: int
    step: int
    folder: str


@dataclass(kw_only=True)
class Outcome:
    """Result of a run.

    Attributes:
        operations: Operations until it ended.
        step: The command that it had come to.
        code: Exit code of that command.
        said: What was printed on standard error.
        outside: What was written outside the folder that it may write to.
        moments: Where they were asked for: one for each operation that changed what is left behind.
    """

    operations: list[Operation] = field(default_factory=list)
    step: int = 0
    code: int = 0
    said: str = ""
    outside: list[str] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Strike:
    """A fault.

    Attributes:
        at: The operation, from 1.
        kind: How: one of `FAILED`.
        lasting: Whether later operations that need the same fail too.
    """

    at: int
    kind: str
    lasting: bool = False


def run(
    root: Path,
    steps: Sequence[Callable[[], Sequence[str]]],
    strike: Strike | None = None,
    *,
    moments: Path | None = None,
) -> Outcome:
    """Run commands of `shopkpi` in a child, until one of them fails.

    Args:
        root: Working folder; nothing outside it may be written.
        steps: Each prepares what its command needs and returns its arguments.
        strike: What fails; None for nothing.
        moments: Where to keep what is there between operations; None for nowhere.
    """
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns where threads are alive; none of them is ours, or holds what we need.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            outcome = _Child(root, strike, moments).run(steps)
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(pickle.dumps(outcome))
        finally:
            os._exit(0)  # without a report the parent fails
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        report = pipe.read()
    os.waitpid(child, 0)
    outcome = pickle.loads(report)
    assert isinstance(outcome, Outcome)
    return outcome


def _run_in_order(work: Coroutine[Any, Any, T]) -> T:
    async def main() -> T:
        asyncio.get_running_loop().set_default_executor(Inline(1))
        return await work

    return asyncio.run(main())


def _finished(work: Coroutine[Any, Any, T], _: object) -> Future[T]:
    """Do the work on a loop of its own: no other thread is there to wait meanwhile."""
    outer = asyncio.get_running_loop()
    asyncio._set_running_loop(None)
    done: Future[T] = Future()
    try:
        done.set_result(_run_in_order(work))
    except Exception as error:  # noqa: BLE001  (whoever waits gets it)
        done.set_exception(error)
    finally:
        asyncio._set_running_loop(outer)
    return done


def _secret_or_random(count: int) -> bytes:
    return bytes(count) if count == SECRET_BYTES else os.urandom(count)


class _Child:
    def __init__(self, root: Path, strike: Strike | None, moments: Path | None) -> None:
        self._root = f"{root}{os.sep}"
        self._strike = strike
        self._moments = moments
        self._disk = Disk(root) if moments else None
        self._outcome = Outcome()
        self._traced = False

    def run(self, steps: Sequence[Callable[[], Sequence[str]]]) -> Outcome:
        os.chdir(self._root)
        sys.dont_write_bytecode = True
        sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
        tempfile.tempdir = self._root  # else a copy that a command works on would be outside
        sys.addaudithook(self._audit)
        self._trace()
        outcome = self._outcome
        for number, step in enumerate(steps):
            outcome.step = number
            sys.argv = ["shopkpi", *step()]
            if self._disk:
                self._disk.arrived(Path(self._root, UPLOADS))
            self._keep()
            self._traced = True
            try:
                worker.cli.main()
            except SystemExit as end:
                outcome.code = int(end.code or 0)
            self._traced = False
            if outcome.code:
                break
        outcome.said = sys.stderr.getvalue()
        return outcome

    def _operation(self, name: str, kinds: Sequence[str], act: Callable[[], T], wrong: Any) -> T:
        """Do one operation, or fail with the error that `wrong` makes."""
        if not self._traced:
            return act()
        operations = self._outcome.operations
        operations.append(Operation(name=name, kinds=tuple(kinds)))
        if self._strike is not None and self._fails(self._strike):
            raise wrong(self._strike.kind)
        try:
            return act()
        finally:
            if self._disk and not name.startswith(_READING):
                with self._aside():
                    self._keep()

    def _fails(self, strike: Strike) -> bool:
        """Return whether the next operation fails.

        A lasting fault is as on a machine. A full disk refuses what needs room: names can still be
        removed, and a transaction that writes nothing still ends. A broken disk answers nothing.
        Permission is checked where something is opened or named. An open file goes on, and so does
        the database: where it refuses a statement, it belongs to another user.
        """
        operations = self._outcome.operations
        if len(operations) <= strike.at or not strike.lasting:
            return len(operations) == strike.at
        struck, now = operations[strike.at - 1], operations[-1]
        if strike.kind not in now.kinds:
            return False
        if strike.kind == "ENOSPC":
            return not now.name.startswith(_NEEDS_NO_ROOM)
        if strike.kind == "EACCES" and now.name.startswith("sqlite"):
            return struck.name.startswith(("sqlite", "connect"))
        return True

    def _keep(self) -> None:
        """Keep a copy of the present state."""
        if self._moments is None or self._disk is None:
            return
        after, step = len(self._outcome.operations), self._outcome.step
        copies: dict[str, Callable[[str], object]] = {
            KILLED: partial(copytree, self._root),
            POWER: self._disk.copy,
        }
        for kind, copy in copies.items():
            folder = str(self._moments / f"{after}-{step}-{kind}")
            copy(folder)
            self._outcome.moments.append(Moment(kind=kind, after=after, step=step, folder=folder))

    # Files.

    @contextlib.contextmanager
    def _aside(self) -> Iterator[None]:
        """Exclude the harness's own calls from the operations."""
        self._traced = False
        try:
            yield
        finally:
            self._traced = True

    def _inside(self, path: Any) -> bool:
        return f"{_path(path)}{os.sep}".startswith(self._root)

    def _trace(self) -> None:
        """Intercept the functions of `os` for the rest of this process."""
        changing = ("ENOSPC", "EIO", "EACCES")
        for name, kinds in {
            "stat": ("EIO", "EACCES"),
            "scandir": ("EIO", "EACCES"),
            "open": changing,
            "pread": ("EIO",),
            "fstat": ("EIO",),
            "mkdir": changing,
            "link": changing,
            "rename": changing,
            "replace": changing,
            "unlink": ("EIO", "EACCES"),
            "fsync": ("ENOSPC", "EIO"),
        }.items():
            # No power fails here, so nothing need be synced: that would take most of the time.
            call = (lambda _: None) if name == "fsync" else getattr(os, name)
            mock.patch.object(os, name, self._wrapped(name, call, kinds)).start()
        child = self

        class Raw(io.FileIO):
            def write(self, data: Any, /) -> int:
                # A full disk takes a part of what is written (write(2)).
                def wrong(kind: str) -> OSError:
                    super(Raw, self).write(memoryview(data)[: len(data) // 2])
                    return _os_error(kind)

                return child._operation(
                    f"write {child._named(self.name)}",
                    ("ENOSPC", "EIO"),
                    lambda: super(Raw, self).write(data),
                    wrong,
                )

        def open_file(file: Any, mode: str, **_: object) -> io.BufferedWriter:
            assert mode == "wb"
            raw = self._operation(
                f"create {self._named(file)}", changing, lambda: Raw(file, "wb"), _os_error
            )
            return io.BufferedWriter(raw)

        mock.patch.object(aiofiles.threadpool, "sync_open", open_file).start()
        connect = sqlite3.connect

        def traced_connect(database: Path, **options: Any) -> sqlite3.Connection:
            return self._operation(
                "connect",
                ("EACCES",),
                lambda: connect(database, factory=_connection(self), **options),
                lambda _: sqlite3.OperationalError("unable to open database file"),
            )

        mock.patch.object(sqlite3, "connect", traced_connect).start()
        mock.patch.object(uvloop, "run", _run_in_order).start()
        # A secret that is the same each time, since keys of objects depend on it. The ids of
        # rulings differ: else the second one would be taken for the first one repeated.
        mock.patch.object(secrets, "token_bytes", _secret_or_random).start()
        mock.patch.object(asyncio, "run_coroutine_threadsafe", _finished).start()
        # Else a run that takes longer knows files by their stamps, and reads them no more.
        mock.patch.object(file_versions, "TICK_NS", 10**18).start()
        for module in (
            worker.cli.event_loop,
            worker.runtime.concurrency,
            worker.jobs,
            worker.state.sqlite.connection,
            worker.validate.recognition,
        ):
            mock.patch.object(module, "ThreadPoolExecutor", Inline).start()

    def _wrapped(
        self, name: str, call: Callable[..., Any], kinds: Sequence[str]
    ) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if not self._traced or not args or not self._inside(args[0]):
                return call(*args, **kwargs)
            with self._aside():
                if name == "fsync" and self._disk:
                    self._disk.synced(Path(_path(args[0])))
                # An existing folder is reported before room or rights are checked, and to open
                # what is there takes no room.
                needless: tuple[str, ...] = ()
                if name == "mkdir" and os.path.lexists(args[0]):
                    needless = ("ENOSPC", "EACCES")
                if name == "open" and not args[1] & os.O_CREAT:
                    needless = ("ENOSPC",)
            return self._operation(
                f"{name} {self._named(args[0])}",
                [kind for kind in kinds if kind not in needless],
                lambda: call(*args, **kwargs),
                _os_error,
            )

        return wrapped

    def _named(self, path: Any) -> str:
        return _without_chance(os.path.relpath(_path(path), self._root))

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        """Check by audit events that no change of a file bypasses the harness."""
        if not self._traced or event not in _CHANGES:
            return
        if event == "open" and not args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
            return
        path = args[1] if event in {"os.rename", "os.link"} else args[0]
        if not isinstance(path, int) and not self._inside(path):
            self._outcome.outside.append(f"{event} {path}")

    # SQLite.

    def statement(self, sql: str, act: Callable[[], T], *, full: bool) -> T:
        """Run one statement of a connection, with `synchronous = FULL` or not."""
        verb, *_ = sql.split() or [""]
        kinds = ("EIO",) if verb in {"SELECT", "ROLLBACK"} else FAILED

        def done() -> T:
            result = act()
            if verb == "COMMIT" and full and self._disk and self._traced:
                # What is committed is on the disk.
                with self._aside():
                    self._disk.committed()
            return result

        return self._operation(f"sqlite {' '.join(sql.split())}", kinds, done, _sqlite_error)


_ASKS_VERSION = "sqlite PRAGMA user_version"

_READING = (
    *("stat", "fstat", "scandir", "open", "pread"),
    *("sqlite SELECT", "sqlite BEGIN", _ASKS_VERSION),
)
"""Operations that leave behind what was there before."""

_NEEDS_NO_ROOM = (
    *("sqlite SELECT", "sqlite BEGIN", "sqlite COMMIT", "sqlite ROLLBACK"),
    *("sqlite PRAGMA synchronous", "sqlite PRAGMA cache_size", _ASKS_VERSION),
)
"""Statements that a full disk bears. What would write has failed before its COMMIT."""

_CHANGES = {
    *("open", "os.mkdir", "os.rename", "os.link", "os.symlink", "os.remove", "os.rmdir"),
    *("os.truncate", "os.chmod", "os.chown", "os.utime", "sqlite3.connect"),
}


def _connection(child: _Child) -> type[sqlite3.Connection]:
    class Connection(sqlite3.Connection):
        full = False

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            super().execute("PRAGMA synchronous = OFF")  # see fsync

        def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
            run = super().execute
            does = sql.replace("synchronous = FULL", "synchronous = OFF")
            self.full |= does != sql
            return child.statement(sql, lambda: run(does, *args), full=self.full)

        def executemany(self, sql: str, *args: Any) -> sqlite3.Cursor:
            run = super().executemany
            return child.statement(sql, lambda: run(sql, *args), full=self.full)

    return Connection


def _os_error(kind: str) -> OSError:
    number = getattr(errno, kind)
    return OSError(number, os.strerror(number))


def _sqlite_error(kind: str) -> sqlite3.Error:
    return sqlite3.OperationalError(_SQLITE_SAYS[kind])


def _path(path: Any) -> str:
    """Return the absolute path of a path or open file."""
    if isinstance(path, int):
        return str(Path(f"/proc/self/fd/{path}").readlink())
    return str(Path(os.fsdecode(path)).absolute())


def _without_chance(path: str) -> str:
    """Return the path without the random parts of a temporary file's name."""
    return re.sub(r"(/\..*)\.\d+\.[0-9a-f]{8}\.tmp$", r"\1.tmp", path)
