"""KPI tables in DynamoDB.

Why a day never goes back in time. Each day has a guard (`worker.state.day_guard`) in the ledger
table. Every transaction that touches a row of the day also puts the guard, with its `version`
raised by one. Its condition is that the version is still the one that the writer read. Guards are
never deleted. So:

1. The transactions of a day are in one order, that of the versions. Between the guard that a writer
   read and its transaction on it, no other has changed the day. Rows read after the guard are
   therefore the rows that the transaction meets, or its condition fails. That holds for a writer
   that wakes up late, and for a request delivered late: its version has passed.
   A day without a guard when all were read is assumed to have none still: its first transaction
   fails where that is no longer so.
2. `claim` never falls: a writer at sequence a writes only where it read claim <= a, and sets claim
   to a. A row of the day is never of a higher sequence than the claim, and is deleted or replaced
   only by a writer whose sequence is at least the claim. So no row goes back. Rows hold no sequence
   of their own: one that is equal in both states is of both, and is not written again. A row that
   the state at b deleted is never put by a writer at a < b. After b's first transaction that writer
   reads claim b, and before it, its own transaction fails.
3. `published[table] = a` is put by the last transaction of an attempt. That attempt saw every row
   of the table, wrote every difference, and met no other writer: the table was then whole at a.
   With 2, rows are whole at `published` where claim = published, and a mixture of `published` and
   claim where a later writer has begun. A writer at a that finds such a mixture neither goes back
   (CONTENDED) nor waits; one at the claim or above ends it. A writer that died half-way is
   succeeded by its own retry or by anybody at a later sequence. Reading the rows again finds what
   is left to do.
4. A lost answer: the token makes a repeated request harmless. Where DynamoDB has forgotten the
   token, the condition fails, and reading again finds the rows as they were meant.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime
from itertools import chain
from typing import TYPE_CHECKING

from kpi.aggregation.tables import (
    KPI_TABLES,
    LEDGER_SORT_KEY,
    LEDGER_TABLE,
    ORDER_KPIS,
    KpiTable,
)
from worker.errors import StoreError
from worker.state import DayKpis, Outcome, Row
from worker.state.corruption import parsing
from worker.state.day_guard import Guard, this_second
from worker.state.dynamodb.client import TRANSACTION_WRITES, Database
from worker.state.dynamodb.guards import guard_of, guard_write
from worker.state.dynamodb.items import put
from worker.state.dynamodb.rows import is_same, row_item, row_key, row_of, sort_key, sort_keys

if TYPE_CHECKING:
    from worker.state.dynamodb.items import Item, Write

TRANSACTION_ROWS = TRANSACTION_WRITES - 1
"""Rows of one transaction; the guard is its last write. Its 4 MB are never reached: a row's keys
have at most 1,024 bytes each, and its numbers 38 digits."""

_CONCURRENT_DAYS = 32
"""Days read at once."""


class DynamoDBKpis:
    """DynamoDB implementation of `worker.state.KpiStore`, but for the progress record."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._begun: frozenset[date] | None = None

    async def publish(self, day: DayKpis, as_of: int) -> Outcome:
        """Make the day's rows exactly those of `day`, and their `as_of` the given one.

        Up to 99 changed rows change in one transaction; of more, the order_kpis row is in the last
        one. A Query that runs while a transaction is being applied may see a part of it (its
        isolation is read-committed: "Managing complex workflows with DynamoDB transactions").
        """
        retries = self._database.retry.start()
        is_new = self._begun is not None and day.order_date not in self._begun
        # Where another writer has begun the day, the condition fails, and the guard is read.
        guard = Guard() if is_new else await self._guard(day.order_date)
        while True:
            verdict = guard.verdict(day.tables, as_of)
            if verdict is not None:
                return verdict
            if await self._write(day, as_of, guard):
                return Outcome.PUBLISHED
            if not await retries.again():
                message = (
                    f"publishing {day.order_date}: disturbed by other writers through "
                    f"{retries.attempts} attempts"
                )
                raise StoreError(message, url=self._database.url)
            guard = await self._guard(day.order_date)

    async def days(self) -> dict[date, Mapping[str, int]]:
        """Return every day ever begun -> KPI table -> sequence at which it is whole."""
        found: dict[date, Mapping[str, int]] = {}
        async for item in self._guards(None, None):
            guard = guard_of(item)
            with parsing(f"day of a guard, {item[LEDGER_SORT_KEY]['S']!r},"):
                found[date.fromisoformat(item[LEDGER_SORT_KEY]["S"])] = guard.whole()
        self._begun = frozenset(found)
        return found

    async def publication_times(
        self, *, first: date | None = None, last: date | None = None
    ) -> dict[date, datetime]:
        """Return when each day was published last, to the second."""
        found: dict[date, datetime] = {}
        async for item in self._guards(first, last):
            at = guard_of(item).published_at
            if at is not None:
                found[date.fromisoformat(item[LEDGER_SORT_KEY]["S"])] = at
        return found

    async def rows(
        self,
        table: str,
        *,
        first: date | None = None,
        last: date | None = None,
        group: str | None = None,
    ) -> AsyncIterator[Row]:
        """Yield rows of a KPI table, ascending by order_date, then group key.

        The days are read from their guards, then the rows from the table by their keys, strongly
        consistent. One group is read from its index instead, at a fraction of the cost. An index
        follows its table within a second or so (it is eventually consistent).
        """
        definition = KPI_TABLES[table]
        guards = {
            guard[LEDGER_SORT_KEY]["S"]: guard_of(guard)
            async for guard in self._guards(first, last)
        }
        if group is not None:
            async for item in self._group_items(definition, group, first, last):
                guard = guards.get(item[definition.partition_key]["S"], Guard())
                yield row_of(definition, item, guard.as_of(table))
            return
        days = list(guards)
        for start in range(0, len(days), _CONCURRENT_DAYS):
            for item in await self._items(definition, days[start : start + _CONCURRENT_DAYS]):
                guard = guards[item[definition.partition_key]["S"]]
                yield row_of(definition, item, guard.as_of(table))

    async def _write(self, day: DayKpis, as_of: int, guard: Guard) -> bool:
        """Make the day's rows those of `day`; False where another writer came between."""
        writes = await self._differences(day, guard)
        if not writes and guard.is_published(day.tables, as_of):
            return True
        # A day without rows still needs its guard: it keeps earlier states away.
        transactions = [
            writes[first : first + TRANSACTION_ROWS]
            for first in range(0, len(writes), TRANSACTION_ROWS)
        ] or [[]]
        for count, rows in enumerate(transactions, start=1):
            completed = day.tables if count == len(transactions) else ()
            after = guard.next(as_of, completed, this_second())
            reasons = await self._database.transact(
                f"publishing {day.order_date}",
                [*rows, guard_write(self._database, day.order_date.isoformat(), guard, after)],
            )
            if reasons:
                return False
            guard = after
        return True

    async def _differences(self, day: DayKpis, guard: Guard) -> list[Write]:
        """Build the writes that turn the existing rows into those of `day`; order_kpis last."""
        tables = sorted(
            (KPI_TABLES[name] for name in day.tables), key=lambda table: table == ORDER_KPIS
        )
        present = await asyncio.gather(*(self._present(table, day, guard) for table in tables))
        writes: list[Write] = []
        for table, items in zip(tables, present, strict=True):
            name = self._database.table(table.dynamodb_name)
            wanted = [row_item(self._database.shop, table, row) for row in day.tables[table.name]]
            kept = {_identity(table, item): item for item in wanted}
            found = {_identity(table, item): item for item in items}
            writes.extend(
                {"Delete": {"TableName": name, "Key": row_key(table, item)}}
                for identity, item in found.items()
                if identity not in kept
            )
            writes.extend(
                {"Put": put(name, item)}
                for identity, item in kept.items()
                if identity not in found or not is_same(item, found[identity])
            )
        return writes

    async def _present(self, table: KpiTable, day: DayKpis, guard: Guard) -> list[Item]:
        """Read the day's items of one table that may have to be deleted or need not be put.

        Without a guard there are some only if somebody has emptied the ledger. The one row of a
        table without groups is then put over whatever is there.
        """
        if guard.version == 0 and table.group_key is None and day.tables[table.name]:
            return []
        return await self._day_items(table, day.order_date.isoformat())

    async def _guard(self, order_date: date) -> Guard:
        item = await self._database.get(
            f"reading the guard of {order_date}",
            LEDGER_TABLE,
            self._database.ledger_key("kpi_guard", order_date.isoformat()),
        )
        return Guard() if item is None else guard_of(item)

    def _guards(self, first: date | None, last: date | None) -> AsyncIterator[Item]:
        """Yield guard items, ascending by day."""
        return self._database.query(
            "reading which days there are",
            LEDGER_TABLE,
            self._database.ledger_partition("kpi_guard"),
            (LEDGER_SORT_KEY, *_iso_days(first, last)),
        )

    async def _items(self, table: KpiTable, days: Sequence[str]) -> list[Item]:
        """Read the items of these days, in their order."""
        if table.group_key is not None:
            parts = await asyncio.gather(*(self._day_items(table, day) for day in days))
            return list(chain.from_iterable(parts))
        shop: Item = {table.sort_key: {"S": self._database.shop}}
        found = await self._database.batch_get(
            f"reading {table.name}",
            table.dynamodb_name,
            [{table.partition_key: {"S": day}, **shop} for day in days],
        )
        return sorted(found, key=lambda item: item[table.partition_key]["S"])

    async def _day_items(self, table: KpiTable, day: str) -> list[Item]:
        """Read the items of one day, ascending by group key, strongly consistent."""
        items = self._database.query(
            f"reading {table.name} of {day}",
            table.dynamodb_name,
            (table.partition_key, day),
            (table.sort_key, *sort_keys(self._database.shop, table)),
        )
        found = [item async for item in items]
        # A long group is not whole in the sort key.
        return sorted(found, key=lambda item: item[table.group_key or table.sort_key]["S"])

    def _group_items(
        self, table: KpiTable, group: str, first: date | None, last: date | None
    ) -> AsyncIterator[Item]:
        """Yield the items of one category or product, ascending by day, from its index."""
        if table.group_key is None:
            message = f"{table.name} has one row a day, no groups"
            raise ValueError(message)
        (index,) = table.indexes
        return self._database.query(
            f"reading {table.name} by {table.group_key}",
            table.dynamodb_name,
            (index.partition_key, sort_key(self._database.shop, table, group)),
            (index.sort_key, *_iso_days(first, last)),
            index=index.name,
        )


def _identity(table: KpiTable, item: Item) -> tuple[str, ...]:
    return tuple(value["S"] for value in row_key(table, item).values())


def _iso_days(first: date | None, last: date | None) -> tuple[str, str]:
    """Return an inclusive range of ISO dates; an open end reaches as far as dates go."""
    return (first or date.min).isoformat(), (last or date.max).isoformat()
