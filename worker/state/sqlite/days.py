"""Publish days of KPI rows in SQLite, each under its guard; read guards and progress."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime

import orjson

from kpi.aggregation.tables import KPI_TABLES
from worker.state import DayKpis, Outcome, Progress
from worker.state.corruption import parsing
from worker.state.day_guard import Guard, this_second
from worker.state.sqlite.rows import replace_rows


def publish_day(db: sqlite3.Connection, shop: str, day: DayKpis, as_of: int) -> Outcome:
    """Publish a day in the open transaction."""
    order_date = day.order_date.isoformat()
    guard = read_guards(db, shop, order_date).get(day.order_date, Guard())
    verdict = guard.verdict(day.tables, as_of)
    if verdict is not None:
        return verdict
    for name, rows in day.tables.items():
        replace_rows(db, shop, KPI_TABLES[name], order_date, rows)
    after = guard.next(as_of, day.tables, this_second())
    db.execute(
        "INSERT OR REPLACE INTO days VALUES (?, ?, ?, ?, ?)",
        (shop, order_date, after.version, after.claim, _recorded(after)),
    )
    return Outcome.PUBLISHED


_PUBLISHED_AT = "published_at"
"""Beside the tables: seconds since 1970-01-01 UTC. Other releases take it for a table's sequence,
and leave it as it is."""


def _recorded(guard: Guard) -> str:
    recorded = dict(guard.published)
    if guard.published_at is not None:
        recorded[_PUBLISHED_AT] = int(guard.published_at.timestamp())
    return orjson.dumps(recorded).decode()


def read_guards(
    db: sqlite3.Connection, shop: str, order_date: str | None = None
) -> dict[date, Guard]:
    """Read the guards of all days, or of one."""
    query = "SELECT order_date, version, claim, published FROM days WHERE shop = ?"
    values: tuple[str, ...] = (shop,)
    if order_date is not None:
        query, values = query + " AND order_date = ?", (shop, order_date)
    guards = {}
    for day, version, claim, published in db.execute(query, values):
        with parsing(f"guard of {day}"):
            tables = {name: int(one) for name, one in orjson.loads(published).items()}
            at = tables.pop(_PUBLISHED_AT, None)
            guards[date.fromisoformat(day)] = Guard(
                version=int(version),
                claim=int(claim),
                published=tables,
                published_at=None if at is None else datetime.fromtimestamp(at, UTC),
            )
    return guards


def with_as_of(
    db: sqlite3.Connection, shop: str, table: str, rows: Sequence[tuple[str | int | None, ...]]
) -> Iterator[tuple[tuple[str | int | None, ...], int]]:
    """Yield rows, ascending by day, each with the sequence that its day's guard says."""
    day, as_of = None, 0
    for row in rows:
        if row[0] != day:
            day = row[0]
            guards = read_guards(db, shop, str(day))
            as_of = next(iter(guards.values())).as_of(table) if guards else 0
        yield row, as_of


def read_progress(db: sqlite3.Connection, shop: str) -> Progress:
    """Return the progress record; an empty one at first."""
    query = "SELECT published, waiting_as_of FROM progress WHERE shop = ?"
    row = db.execute(query, (shop,)).fetchone()
    if not row:
        return Progress()
    with parsing("progress record"):
        query = "SELECT source_id, items FROM waiting WHERE shop = ?"
        waiting = {source_id: int(items) for source_id, items in db.execute(query, (shop,))}
        published = {table: int(one) for table, one in orjson.loads(row[0]).items()}
        return Progress(published=published, waiting=waiting, waiting_as_of=int(row[1]))
