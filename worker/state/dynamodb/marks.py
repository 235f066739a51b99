"""Marks in the KPI tables of DynamoDB, each of which can be restored without the others.

Two items in each table, whose day is `ledger`: `<shop>#begun` is put before a publication writes to
the table, `<shop>#whole` after it has ended, before the progress record moves. Each only ever goes
to higher sequences. A table that was put back within one publication of a process that died is not
noticed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import TYPE_CHECKING

import orjson

from kpi.aggregation.tables import KPI_TABLES, LEDGER_TABLE, KpiTable
from worker.state.corruption import parsing
from worker.state.day_guard import Guard
from worker.state.dynamodb.client import TRANSACTION_WRITES, Database
from worker.state.dynamodb.guards import guard_of, guard_write
from worker.state.dynamodb.items import document_bytes, not_above, number, put
from worker.state.dynamodb.rows import row_key, sort_keys
from worker.state.marks import Mark, TableMarks
from worker.state.same_ledger import identify_ledger
from worker.state.shop import SEPARATOR

if TYPE_CHECKING:
    from worker.state import Ledger
    from worker.state.dynamodb.items import Condition, Item, Write

DAY_OF_MARKS = "ledger"
"""Partition key of marks, where rows have a date."""

KINDS = ("begun", "whole")

_TRANSACTION_ROWS = TRANSACTION_WRITES - 1
"""Rows deleted in one transaction, which checks the guard of their day too."""


class DynamoDBMarks:
    """Marks of the KPI tables, and the rows that a lost ledger left in them."""

    def __init__(self, database: Database, ledger: Ledger) -> None:
        self._database = database
        self._ledger = ledger
        self._begun: dict[str, int] = {}
        self._marking = asyncio.Lock()

    async def begin(self, tables: Collection[str], as_of: int) -> None:
        """Mark tables before rows of a sequence are written; once for each process."""
        async with self._marking:
            known = KPI_TABLES.keys() & set(tables)
            new = [name for name in known if self._begun.get(name, 0) < as_of]
            if not new:
                return
            ledger = await identify_ledger(self._ledger, as_of)
            await asyncio.gather(
                *(
                    self._put(name, "begun", as_of, ledger, not_above("mark", as_of - 1))
                    for name in new
                )
            )
            self._begun |= dict.fromkeys(new, as_of)

    async def end(self, tables: Collection[str], as_of: int) -> None:
        """Mark tables after every row of a sequence was written."""
        await self.begin(tables, as_of)
        await asyncio.gather(
            *(
                self._put(name, "whole", as_of, "", not_above("mark", as_of))
                for name in KPI_TABLES.keys() & set(tables)
            )
        )

    async def mark_again(self, ledger: str, as_of: int) -> None:
        """Mark every table as published from this ledger; later marks of it stay."""
        found = (await self.read()).tables
        for name in KPI_TABLES:
            limit = None if await self._is_foreign(found.get(name)) else not_above("mark", as_of)
            for kind in KINDS:
                await self._put(name, kind, as_of, ledger, limit)
        self._begun = dict.fromkeys(KPI_TABLES, as_of)

    async def _is_foreign(self, mark: Mark | None) -> bool:
        """Return whether a mark is of another ledger, or of a part of this one that is gone."""
        if mark is None:
            return False
        head = await self._ledger.head()
        is_beyond = max(mark.begun, mark.whole) > head
        return is_beyond or mark.ledger != await identify_ledger(self._ledger, mark.begun)

    async def read(self) -> TableMarks:
        """Return what the tables have seen, after what the ledger promises."""
        item = await self._database.get(
            "reading the progress record",
            LEDGER_TABLE,
            self._database.ledger_key("kpi_progress", "progress"),
        )
        published: dict[str, int] = {}
        if item is not None and "marked" in item:
            with parsing("progress record"):
                recorded = orjson.loads(document_bytes(item["progress"]))["published"]
                published = {name: one for name, one in recorded.items() if name in KPI_TABLES}
        found = await asyncio.gather(*map(self._read, KPI_TABLES.values()))
        marks = {name: mark for name, mark in zip(KPI_TABLES, found, strict=True) if mark}
        return TableMarks(published=published, tables=marks)

    async def _read(self, table: KpiTable) -> Mark | None:
        items = await self._database.batch_get(
            f"reading the mark of {table.name}",
            table.dynamodb_name,
            [self._key(table, kind) for kind in KINDS],
        )
        by_kind = {item[table.sort_key]["S"].rpartition(SEPARATOR)[2]: item for item in items}
        if not by_kind:
            return None
        with parsing(f"mark of {table.name}"):
            begun, whole = (
                int(by_kind[kind]["mark"]["N"]) if kind in by_kind else 0 for kind in KINDS
            )
            ledger = by_kind["begun"]["ledger"]["S"] if "begun" in by_kind else ""
        return Mark(begun=begun, whole=whole, ledger=ledger)

    def _key(self, table: KpiTable, kind: str) -> Item:
        return {
            table.partition_key: {"S": DAY_OF_MARKS},
            table.sort_key: {"S": f"{self._database.shop}{SEPARATOR}{kind}"},
        }

    async def _put(
        self, name: str, kind: str, as_of: int, ledger: str, condition: Condition | None = None
    ) -> None:
        table = KPI_TABLES[name]
        item: Item = {
            **self._key(table, kind),
            "mark": number(as_of),
            **({"ledger": {"S": ledger}} if ledger else {}),
        }
        request = put(self._database.table(table.dynamodb_name), item, condition)
        # Where the condition fails, a later writer has marked the table.
        await self._database.put(f"marking {name}", request)

    async def delete_unguarded(self) -> int:
        """Delete rows that no guard knows: those of a ledger that is gone."""
        deleted = 0
        for table in KPI_TABLES.values():
            rows: list[Item] = []
            async for item in self._rows(table):  # those of one day follow on each other
                key = row_key(table, item)
                if rows and (
                    len(rows) == _TRANSACTION_ROWS or _day(table, rows[0]) != _day(table, key)
                ):
                    deleted += await self._delete(table, rows)
                    rows = []
                rows.append(key)
            if rows:
                deleted += await self._delete(table, rows)
        return deleted

    async def _delete(self, table: KpiTable, rows: list[Item]) -> int:
        """Delete rows of one day that no publication has begun; return how many were deleted.

        The guard gets a version, as in each transaction on a day: a publication that read rows
        before they were deleted reads them again.
        """
        day = _day(table, rows[0])
        key = self._database.ledger_key("kpi_guard", day)
        item = await self._database.get(f"reading the guard of {day}", LEDGER_TABLE, key)
        guard = Guard() if item is None else guard_of(item)
        if guard.claim or guard.published:
            return 0
        name = self._database.table(table.dynamodb_name)
        writes: list[Write] = [{"Delete": {"TableName": name, "Key": row}} for row in rows]
        changed = guard_write(self._database, day, guard, guard.next(0, ()))
        # Where the guard has changed, a publication has come to the day: its rows are its own.
        doing = f"deleting {table.name} of {day}"
        return 0 if await self._database.transact(doing, [*writes, changed]) else len(rows)

    async def _rows(self, table: KpiTable) -> AsyncIterator[Item]:
        low, high = sort_keys(self._database.shop, table)
        async for item in self._database.scan(f"reading all of {table.name}", table.dynamodb_name):
            if _day(table, item) != DAY_OF_MARKS and low <= item[table.sort_key]["S"] <= high:
                yield item


def _day(table: KpiTable, item: Item) -> str:
    return item[table.partition_key]["S"]
