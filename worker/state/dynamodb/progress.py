"""The progress record in DynamoDB, and the sources with waiting items: an item for each.

Items of the ledger table are `kpi_progress`, of all sources, and `kpi_waiting` for each
source with waiting items. So no number of sources fills an item. `advance` writes the differences
in transactions, each of which also puts the record on the condition that its `version` is still the
one that was read. The last one puts the new record. So:

1. The transactions are in one order, that of the versions, and no writer works on items that
   another has changed since it read them.
2. `claim` is the largest `waiting_as_of` that a writer has begun to write. It never falls: a writer
   behind it leaves the waiting items alone.
3. A writer that dies half-way leaves a mixture of counts at the record's `waiting_as_of` and at its
   own, later one. The next transform counts again every source whose count may have changed since
   the record's `waiting_as_of`, and so since the later sequence too. A source without an item
   begins to wait only where it is new, or where somebody retracts or restores an upload: both are
   among those counted again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from kpi.aggregation.tables import LEDGER_SORT_KEY, LEDGER_TABLE
from worker.errors import StoreError
from worker.state import Progress
from worker.state.corruption import parsing
from worker.state.dynamodb.client import TRANSACTION_WRITES, Database
from worker.state.dynamodb.format import FORMAT_ATTRIBUTE
from worker.state.dynamodb.items import document, document_bytes, number, put, unchanged

if TYPE_CHECKING:
    from worker.state.dynamodb.items import Item, Write

FORMER_RECORD = ("progress", "progress")
"""Key of the progress record of release 0.1.0."""

STOPS_FORMER = "use_release_0_2_0_or_later"
"""Field of that record since an update: 0.1.0 knows none of it, and says so where it reads it."""

TRANSACTION_SOURCES = TRANSACTION_WRITES - 1
"""Sources written in one transaction; the record is its last write."""


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """What the tables hold.

    Attributes:
        progress: The record with the waiting items.
        version: Transactions that have changed the record; 0 where there is none.
        claim: See the module.
        items: source_id -> waiting items, of the sources that have an item.
    """

    progress: Progress
    version: int
    claim: int
    items: dict[str, int]


class DynamoDBProgress:
    """DynamoDB implementation of `progress` and `advance` of `worker.state.KpiStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def progress(self) -> Progress:
        """Return the progress record; an empty one at first."""
        return (await self._stored()).progress

    async def advance(self, progress: Progress) -> Progress:
        """Replace the record by `record.merge(progress)`, and return that.

        Readers may see some of the new waiting items before the new record; see the module.
        """
        doing = "advancing the progress record"
        retries = self._database.retry.while_contended().start()
        while True:
            stored = await self._stored()
            merged = stored.progress.merge(progress)
            if merged.waiting_as_of < stored.claim:
                # A later writer has begun: it counts the waiting items, or its successor does.
                merged = Progress(
                    published=merged.published,
                    waiting=stored.progress.waiting,
                    waiting_as_of=stored.progress.waiting_as_of,
                )
            if merged == stored.progress:
                return merged
            is_first = not stored.version
            if (not is_first or await self._stop_former(doing)) and await self._replace(
                doing, stored, merged
            ):
                return merged
            if not await retries.again():
                raise StoreError(f"{doing}: others kept advancing it", url=self._database.url)

    async def _stop_former(self, doing: str) -> bool:
        """Let transforms of 0.1.0 fail, which would publish to tables that nobody reads any more.

        They read their record first, and write it last on the condition that it is unchanged.

        Returns:
            False where one of them has written it since it was read.
        """
        item = await self._former_record()
        if item is None:
            return True
        with parsing("earlier progress record"):
            fields = orjson.loads(document_bytes(item["progress"]))
            version = int(item["version"]["N"])
        if STOPS_FORMER in fields:
            return True
        stopping: Item = {
            **self._database.ledger_key(*FORMER_RECORD),
            "version": number(version + 1),
            "progress": document(
                orjson.dumps({**fields, STOPS_FORMER: True}), "the earlier progress record"
            ),
        }
        table = self._database.table(LEDGER_TABLE)
        return await self._database.put(doing, put(table, stopping, unchanged("version", version)))

    async def _replace(self, doing: str, stored: _Stored, merged: Progress) -> bool:
        """Write the record and its waiting items; False where another writer came between."""
        table = self._database.table(LEDGER_TABLE)
        writes: list[Write] = [
            {
                "Delete": {
                    "TableName": table,
                    "Key": self._database.ledger_key("kpi_waiting", source_id),
                }
            }
            for source_id in stored.items
            if source_id not in merged.waiting
        ]
        writes += [
            {
                "Put": put(
                    table,
                    {**self._database.ledger_key("kpi_waiting", source_id), "items": number(items)},
                )
            }
            for source_id, items in merged.waiting.items()
            if stored.items.get(source_id) != items
        ]
        claim = max(stored.claim, merged.waiting_as_of)
        first = 0
        version = stored.version
        while len(writes) - first > TRANSACTION_SOURCES:
            some = writes[first : first + TRANSACTION_SOURCES]
            if not await self._transact(doing, some, stored.progress, version, claim):
                return False
            first, version = first + len(some), version + 1
        return await self._transact(doing, writes[first:], merged, version, claim)

    async def _transact(
        self, doing: str, writes: Sequence[Write], record: Progress, version: int, claim: int
    ) -> bool:
        """Apply writes together with the record at its next version."""
        fields = {"published": dict(record.published), "waiting_as_of": record.waiting_as_of}
        item: Item = {
            **self._database.ledger_key("kpi_progress", "progress"),
            **FORMAT_ATTRIBUTE,
            "version": number(version + 1),
            "claim": number(claim),
            "marked": {"BOOL": True},  # each table has a mark
            "progress": document(orjson.dumps(fields), "the progress record"),
        }
        table = self._database.table(LEDGER_TABLE)
        request = put(table, item, unchanged("version", version))
        if not writes:
            return await self._database.put(doing, request)
        return not await self._database.transact(doing, [*writes, {"Put": request}])

    async def _stored(self) -> _Stored:
        item = await self._database.get(
            "reading the progress record",
            LEDGER_TABLE,
            self._database.ledger_key("kpi_progress", "progress"),
        )
        items: dict[str, int] = {}
        async for one in self._database.query(
            "reading the sources with waiting items",
            LEDGER_TABLE,
            self._database.ledger_partition("kpi_waiting"),
        ):
            source_id = one[LEDGER_SORT_KEY]["S"]
            with parsing(f"number of waiting items of {source_id}"):
                items[source_id] = int(one["items"]["N"])
        if item is None:
            record = Progress(published=await self._former_tables(), waiting=items)
            return _Stored(progress=record, version=0, claim=0, items=items)
        with parsing("progress record"):
            fields = orjson.loads(document_bytes(item["progress"]))
            return _Stored(
                progress=Progress(**fields, waiting=items),
                version=int(item["version"]["N"]),
                claim=int(item["claim"]["N"]),
                items=items,
            )

    async def _former_tables(self) -> dict[str, int]:
        """Return the tables that an earlier format has published: none of them is filled yet."""
        item = await self._former_record()
        if item is None:
            return {}
        with parsing("earlier progress record"):
            return dict.fromkeys(orjson.loads(document_bytes(item["progress"]))["published"], 0)

    async def _former_record(self) -> Item | None:
        return await self._database.get(
            "reading the earlier progress record",
            LEDGER_TABLE,
            self._database.ledger_key(*FORMER_RECORD),
        )
