"""SQLite: several processes on one file, and rows read in pages."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TypeVar

import pytest

import worker.state.sqlite.connection
import worker.state.sqlite.store
from tests.support.samples import adoption, day_kpis, entry
from worker.errors import ConfigError, StoreError
from worker.state import Outcome, Progress
from worker.state.sqlite.store import SqliteState

T = TypeVar("T")


def open_and_ask(path: Path) -> int:
    async def work() -> int:
        state = await SqliteState.open(path)
        try:
            return await state.head()
        finally:
            await state.close()

    return asyncio.run(work())


def open_many(folder: Path, rounds: int, together: Barrier) -> None:
    for number in range(rounds):
        together.wait()
        open_and_ask(folder / str(number) / "shopkpi.db")


@pytest.mark.slow
def test_a_new_database_may_be_opened_by_many_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(4)
    workers = [
        context.Process(target=open_many, args=(tmp_path, 60, together), daemon=True)
        for _ in range(4)
    ]
    for one in workers:
        one.start()
    for one in workers:
        one.join(20)
        # A worker that fails leaves the others waiting at the barrier.
        if one.exitcode != 0:
            together.abort()
    assert [one.exitcode for one in workers] == [0] * 4


@pytest.mark.slow
def test_a_lock_that_is_never_released_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.state.sqlite.connection, "BUSY_TIMEOUT_S", 0.2)
    path = tmp_path / "shopkpi.db"
    with sqlite3.connect(path, isolation_level=None) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="locked"):
            open_and_ask(path)
    holder.close()


@pytest.mark.slow
@pytest.mark.parametrize("opened", [False, True])
async def test_closing_ends_the_wait_for_a_lock(tmp_path: Path, opened: bool) -> None:
    path = tmp_path / "shopkpi.db"
    state = await SqliteState.open(path) if opened else None
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        waits = asyncio.ensure_future(state.head() if state else SqliteState.open(path))
        await asyncio.sleep(0.1)
        waits.cancel()
        started_s = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await waits
        if state:
            await state.close()
        # The interpreter would wait for a thread that goes on waiting.
        assert not [one for one in threading.enumerate() if one.name.startswith("sqlite")]
        assert time.monotonic() - started_s < 5 * worker.state.sqlite.connection.BUSY_POLL_S


MAY = [date(2024, 5, number) for number in range(1, 7)]
NAMES = {day: [f"category {number}" for number in range(day.day % 4)] for day in MAY}


@pytest.mark.parametrize("at_once", [1, 2, 3, 4, 100])
async def test_pages_of_rows_end_with_whole_days(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(worker.state.sqlite.store, "PAGE_ROWS", at_once)
    state = await SqliteState.open(tmp_path / "shopkpi.db")
    try:
        for day in MAY:
            await state.publish(day_kpis(day, categories=NAMES[day]), 1)
        for first, last in (
            (None, None),
            (MAY[1], MAY[3]),
            (MAY[4], None),
            (date(2025, 1, 1), None),
        ):
            found = [row async for row in state.rows("category_kpis", first=first, last=last)]
            assert [(row["order_date"], row["category"]) for row in found] == [
                (day.isoformat(), name)
                for day in MAY
                if (first or MAY[0]) <= day <= (last or MAY[-1])
                for name in NAMES[day]
            ]
        asked = state.rows("category_kpis", group="category 1")
        assert [row["order_date"] async for row in asked] == [
            day.isoformat() for day in MAY if "category 1" in NAMES[day]
        ]
        # Somebody publishes a later state meanwhile: each day is of one state.
        states: dict[str, set[object]] = {}
        number = 0
        async for row in state.rows("category_kpis"):
            states.setdefault(str(row["order_date"]), set()).add(row["as_of"])
            number += 1
            if number == 2:
                for day in MAY:
                    later = day_kpis(day, Decimal("1.00"), categories=["a", *NAMES[day]])
                    await state.publish(later, 2)
        assert all(len(of_day) == 1 for of_day in states.values())
        assert (states[MAY[-1].isoformat()] == {2}) is (at_once < 100)
    finally:
        await state.close()


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (
            "UPDATE order_kpi_rows SET total_revenue_minor = 'abc'",
            "row of order_kpis of 2024-05-01",
        ),
        ("UPDATE order_kpi_rows SET order_date = '2025-1-1'", "row of order_kpis of 2025-1-1"),
        ("UPDATE days SET published = '{'", "guard of 2024-05-01"),
        ("UPDATE days SET order_date = 'monday'", "guard of monday"),
        ("UPDATE progress SET published = '{'", "progress record"),
        ("UPDATE progress SET published = '7'", "progress record"),
        ('UPDATE progress SET published = \'{"x": "y"}\'', "progress record"),
    ],
)
async def test_damaged_rows_are_named(tmp_path: Path, damage: str, named: str) -> None:
    state = await SqliteState.open(tmp_path / "shopkpi.db")
    try:
        await state.publish(day_kpis(MAY[0]), 1)
        await state.advance(Progress(published={"order_kpis": 1}))
        await state._file.run(lambda db: db.execute(damage))
        with pytest.raises(StoreError, match=f"expected a {named} as it was written, got "):
            await read_all(state)
    finally:
        await state.close()


@dataclass
class Traced:
    """A state whose transactions are counted; the one of number `failing` fails at its end."""

    state: SqliteState
    transactions: int = 0
    failing: int = 0

    async def publish(self, *days: date, as_of: int = 1) -> list[Outcome | BaseException]:
        """Publish days at once."""
        each = (self.state.publish(day_kpis(day, Decimal(as_of)), as_of) for day in days)
        return await asyncio.gather(*each, return_exceptions=True)


@pytest.fixture
async def traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Traced]:
    state = await SqliteState.open(tmp_path / "shopkpi.db")
    traced, run = Traced(state), state._file.run

    async def counted(work: Callable[[sqlite3.Connection], T]) -> T:
        traced.transactions += 1
        fails = traced.transactions == traced.failing

        def or_fail(db: sqlite3.Connection) -> T:
            result = work(db)
            if fails:
                raise sqlite3.OperationalError("disk I/O error")
            return result

        return await run(or_fail)

    monkeypatch.setattr(state._file, "run", counted)
    yield traced
    await state.close()


async def published(state: SqliteState) -> list[str]:
    return [str(row["order_date"]) async for row in state.rows("order_kpis")]


async def test_days_published_at_once_share_a_transaction(traced: Traced) -> None:
    assert await traced.publish(*MAY) == [Outcome.PUBLISHED] * len(MAY)
    # The first one does not wait for others.
    assert traced.transactions == 2
    assert await published(traced.state) == [day.isoformat() for day in MAY]


async def test_states_of_one_day_are_published_in_turn(traced: Traced) -> None:
    each = (traced.state.publish(day_kpis(MAY[0]), as_of) for as_of in (2, 3, 1, 2))
    outcomes = await asyncio.gather(*each)
    later, earlier = Outcome.PUBLISHED, Outcome.SUPERSEDED
    assert outcomes == [later, later, earlier, earlier]
    assert [row["as_of"] async for row in traced.state.rows("order_kpis")] == [3]


@pytest.mark.parametrize("failing", [1, 2])
async def test_days_of_a_failed_transaction_are_tried_alone(traced: Traced, failing: int) -> None:
    traced.failing = failing
    outcomes = await traced.publish(*MAY)
    if failing == 1:  # alone from the beginning
        assert "disk I/O error" in str(outcomes.pop(0))
    assert outcomes == [Outcome.PUBLISHED] * len(outcomes)
    assert traced.transactions == (2 if failing == 1 else 1 + len(MAY))
    assert len(await published(traced.state)) == len(outcomes)


TRIGGER = """
CREATE TRIGGER sick BEFORE INSERT ON order_kpi_rows WHEN NEW.order_date = '2024-05-04'
BEGIN SELECT RAISE(ABORT, 'sick'); END
"""
GUARD = "guard of 2024-05-04"


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        (TRIGGER, "sick"),
        ("UPDATE days SET published = '{' WHERE order_date = '2024-05-04'", GUARD),
        ("UPDATE days SET published = '[]' WHERE order_date = '2024-05-04'", GUARD),
        ("""UPDATE days SET published = '{"x":"y"}' WHERE order_date = '2024-05-04'""", GUARD),
        ("UPDATE days SET claim = 'x' WHERE order_date = '2024-05-04'", GUARD),
    ],
)
async def test_a_day_that_fails_to_publish_holds_no_other_back(
    traced: Traced, harm: str, named: str
) -> None:
    await traced.publish(*MAY)
    await traced.state._file.run(lambda db: db.execute(harm))
    outcomes = await traced.publish(*MAY, as_of=2)
    failed = outcomes.pop(3)
    assert isinstance(failed, StoreError)
    assert named in str(failed)
    assert outcomes == [Outcome.PUBLISHED] * (len(MAY) - 1)


ORPHAN = """
CREATE TABLE parent (id INTEGER PRIMARY KEY);
CREATE TABLE child (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);
CREATE TRIGGER sick AFTER INSERT ON order_kpi_rows WHEN NEW.order_date = '2024-05-04'
BEGIN INSERT INTO child VALUES (7); END
"""


async def test_a_day_that_fails_to_commit_holds_no_other_back(
    tmp_path: Path, traced: Traced
) -> None:
    with closing(sqlite3.connect(tmp_path / "shopkpi.db", isolation_level=None)) as other:
        other.executescript(ORPHAN)
    file = traced.state._file
    assert file._connection is not None
    pragma = "PRAGMA foreign_keys = ON"  # has no effect within a transaction
    await asyncio.get_running_loop().run_in_executor(file._thread, file._connection.execute, pragma)
    outcomes = await traced.publish(*MAY)
    assert "FOREIGN KEY constraint failed" in str(outcomes.pop(3))
    assert outcomes == [Outcome.PUBLISHED] * (len(MAY) - 1)


async def test_a_transaction_has_a_bounded_number_of_days(
    traced: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.state.sqlite.store, "TRANSACTION_DAYS", 2)
    await traced.publish(*MAY)
    assert traced.transactions == 1 + -(-(len(MAY) - 1) // 2)


async def test_a_full_disk_is_an_error(traced: Traced) -> None:
    state, names = traced.state, [f"category {number}" for number in range(300)]

    async def publish() -> list[Outcome | BaseException]:
        each = (state.publish(day_kpis(day, categories=names), 1) for day in MAY)
        return await asyncio.gather(*each, return_exceptions=True)

    await state._file.run(lambda db: db.execute("PRAGMA max_page_count = 1"))
    assert {str(one).partition(".db: ")[2] for one in await publish()} == {
        "database or disk is full"
    }
    await state._file.run(lambda db: db.execute("PRAGMA max_page_count = 1000000"))
    assert await publish() == [Outcome.PUBLISHED] * len(MAY)


async def test_closing_waits_for_begun_publications(tmp_path: Path) -> None:
    path = tmp_path / "shopkpi.db"
    state = await SqliteState.open(path)
    tasks = [asyncio.ensure_future(state.publish(day_kpis(day), 1)) for day in MAY]
    await asyncio.sleep(0)
    await state.close()
    assert await asyncio.gather(*tasks) == [Outcome.PUBLISHED] * len(MAY)


async def test_closing_does_not_wait_for_other_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.state.sqlite.connection, "BUSY_POLL_S", 0.05)
    path = tmp_path / "shopkpi.db"
    state = await SqliteState.open(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        tasks = [asyncio.ensure_future(state.publish(day_kpis(day), 1)) for day in MAY]
        await asyncio.sleep(0)
        async with asyncio.timeout(20):
            await state.close()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert {str(one).partition(".db: ")[2] for one in outcomes} == {"database is locked"}


async def test_a_cancelled_publication_holds_no_other_back(traced: Traced) -> None:
    tasks = [asyncio.ensure_future(traced.state.publish(day_kpis(day), 1)) for day in MAY]
    await asyncio.sleep(0)
    for number in (0, 1, 3):
        tasks[number].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    done = [number for number, one in enumerate(outcomes) if isinstance(one, BaseException)]
    assert done == [0, 1, 3]
    assert {MAY[number].isoformat() for number in (2, 4, 5)} <= {*await published(traced.state)}
    # Nobody waits any more.
    assert await traced.publish(*MAY, as_of=2) == [Outcome.PUBLISHED] * len(MAY)


async def read_all(state: SqliteState) -> None:
    await state.progress()
    await state.days()
    assert [row async for row in state.rows("order_kpis")]


def set_up_foreign(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(statement)
        db.commit()


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE t (x)", "PRAGMA user_version = 77", "PRAGMA application_id = 5"],
)
async def test_a_foreign_database_is_refused_unchanged(
    tmp_path: Path, statement: str, read_only: bool
) -> None:
    path = tmp_path / "app.db"
    set_up_foreign(path, statement)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="not shopkpi's"):
        await SqliteState.open(path, read_only=read_only)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["app.db"]


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_database_deleted_while_in_use_is_an_error(tmp_path: Path, replaced: bool) -> None:
    path = tmp_path / "shopkpi.db"
    state = await SqliteState.open(path)
    await state.publish(day_kpis(MAY[0]), 1)
    for file in tmp_path.iterdir():
        file.unlink()
    if replaced:
        await (await SqliteState.open(path)).close()
    with pytest.raises(StoreError, match="deleted or replaced"):
        await state.publish(day_kpis(MAY[1]), 1)
    with pytest.raises(StoreError, match="deleted or replaced"):
        await state.head()
    await state.close()


async def test_a_database_deleted_during_a_transaction_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "shopkpi.db"
    state = await SqliteState.open(path)
    with pytest.raises(StoreError, match="deleted or replaced"):
        await state._file.run(lambda _: path.unlink())
    await state.close()


async def test_a_reader_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "shopkpi.db"
    writer = await SqliteState.open(path)
    await writer.publish(day_kpis(MAY[0]), 1)
    await writer.close()
    before = path.read_bytes()
    reader = await SqliteState.open(Path(f"/{path}"), read_only=True)  # as sqlite:////path has it
    assert await published(reader) == [MAY[0].isoformat()]
    with pytest.raises(StoreError, match="readonly"):
        await reader.publish(day_kpis(MAY[1]), 1)
    await reader.close()
    assert path.read_bytes() == before


async def test_a_reader_of_a_missing_database_creates_nothing(tmp_path: Path) -> None:
    reader = await SqliteState.open(tmp_path / "folder" / "shopkpi.db", read_only=True)
    assert await reader.head() == 0
    assert await published(reader) == []
    await reader.close()
    assert list(tmp_path.iterdir()) == []


async def test_a_reader_sees_what_a_writer_commits(tmp_path: Path) -> None:
    path = tmp_path / "shopkpi.db"
    writer = await SqliteState.open(path)
    reader = await SqliteState.open(path, read_only=True)
    await writer.publish(day_kpis(MAY[0]), 1)
    assert await published(reader) == [MAY[0].isoformat()]
    await reader.close()
    await writer.publish(day_kpis(MAY[1]), 1)
    await writer.close()


@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="root may write everywhere")
async def test_a_database_in_a_read_only_folder_is_read(tmp_path: Path) -> None:
    path = tmp_path / "shopkpi.db"
    await (await SqliteState.open(path)).close()
    tmp_path.chmod(0o500)
    try:
        reader = await SqliteState.open(path, read_only=True)
        assert await reader.head() == 0
        await reader.close()
    finally:
        tmp_path.chmod(0o700)


async def test_no_look_up_walks_through_the_ledger(tmp_path: Path) -> None:
    """A commit of 20,000 records took two walks: a folder of many files was quadratic."""
    state = await SqliteState.open(tmp_path / "state.db")
    statements: set[str] = set()
    await state._file.run(lambda db: db.set_trace_callback(statements.add))
    await state.commit(entry("a"), adoption=adoption())
    await state.commit(entry("b"), adoption=adoption())
    await state.find("a")
    await state.find_staged("a", "next")
    await state.rulings()
    await state.erasures()
    await state.rewritten("1" * 16)
    await state.pointers(["a"])
    await state.adoption()
    await state._file.run(lambda db: db.set_trace_callback(None))
    looked = [one for one in statements if one.startswith("SELECT") and "kind" in one]
    assert len(looked) >= 8
    for statement in looked:
        (*_, plan), *_ = await state._file.run(
            lambda db, asked=statement: db.execute(f"EXPLAIN QUERY PLAN {asked}").fetchall()  # type: ignore[misc]
        )
        assert "ledger_by_name" in plan, statement
    await state.close()
