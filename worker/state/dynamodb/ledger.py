"""The ledger in a DynamoDB table. Items, by `kind` and `id`:

| kind | id | attributes |
|---|---|---|
| `head` | `head` | sequence: of the last entry |
| `source` | source_id | sequence: of its entry |
| `ruling` | ruling_id | sequence: of the ruling |
| `sequence` | sequence, 12 digits | entry: JSON of an entry or a ruling |
| `effect` | source_id | as_of, effect: JSON |
| `progress` | `progress` | version, claim, progress: JSON (see `worker.state.dynamodb.progress`) |
| `waiting` | source_id | items: that wait for their order (see `worker.state.dynamodb.progress`) |
| `day` | ISO date | version, claim, published (see `worker.state.dynamodb.kpis`) |

Every read is strongly consistent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from kpi.aggregation.tables import LEDGER_PARTITION_KEY, LEDGER_SORT_KEY, LEDGER_TABLE
from worker.errors import StoreError
from worker.state import Effect, Entry, Record, Ruling
from worker.state.corruption import parsing
from worker.state.dynamodb.client import CONDITION_FAILED, Database
from worker.state.dynamodb.items import (
    absent,
    document,
    document_bytes,
    not_above,
    number,
    put,
    unchanged,
)
from worker.state.records import record_from_json

if TYPE_CHECKING:
    from worker.state.dynamodb.items import Item

R = TypeVar("R", Entry, Ruling)

_SEQUENCE_DIGITS = 12
"""Digits of a sequence in a sort key, so that keys sort as numbers do."""

_LAST_SEQUENCE = 10**_SEQUENCE_DIGITS - 1

_CONCURRENT_WRITES = 16
"""Effects written at once."""


def ledger_key(kind: str, name: str) -> Item:
    """Build the key of an item of the ledger table."""
    return {LEDGER_PARTITION_KEY: {"S": kind}, LEDGER_SORT_KEY: {"S": name}}


class DynamoDBLedger:
    """DynamoDB implementation of `worker.state.Ledger`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, source_id: str) -> Entry | None:
        """Return the committed entry of a source object; None before its commit."""
        return await self._find(f"looking up source object {source_id}", "source", source_id, Entry)

    async def commit(self, entry: Entry) -> Entry:
        """Append `entry` under the next sequence, or return the one committed before."""
        # Attributes of their own for what a state machine or a person at the console reads first.
        pointer: Item = {
            **ledger_key("source", entry.source_id),
            "verdict": {"S": entry.verdict},
            "url": {"S": entry.url},
            **({"reason": {"S": entry.reason}} if entry.reason else {}),
        }
        return await self._commit(f"committing source object {entry.source_id}", pointer, entry)

    async def rule(self, ruling: Ruling) -> Ruling:
        """Append `ruling` under the next sequence, or return the one committed before."""
        pointer: Item = {
            **ledger_key("ruling", ruling.ruling_id),
            "source_id": {"S": ruling.source_id},
        }
        return await self._commit(f"committing a {ruling.kind}", pointer, ruling)

    async def head(self) -> int:
        """Return the last sequence; 0 for an empty ledger."""
        item = await self._database.get(
            "reading the head", LEDGER_TABLE, ledger_key("head", "head")
        )
        return 0 if item is None else _sequence(item)

    async def entries(self, *, after: int = 0, up_to: int | None = None) -> list[Entry]:
        """Return entries with after < sequence <= up_to (default: all), ascending by sequence."""
        records = await self.records(after=after, up_to=up_to)
        return [record for record in records if isinstance(record, Entry)]

    async def records(self, *, after: int = 0, up_to: int | None = None) -> list[Record]:
        """Return entries and rulings with after < sequence <= up_to, ascending by sequence."""
        last = _LAST_SEQUENCE if up_to is None else min(up_to, _LAST_SEQUENCE)
        if last <= after:
            return []
        items = self._database.query(
            f"reading entries after {after}",
            LEDGER_TABLE,
            (LEDGER_PARTITION_KEY, "sequence"),
            (LEDGER_SORT_KEY, _digits(after + 1), _digits(last)),
        )
        return [_record(item) async for item in items]

    async def rulings(self) -> list[Ruling]:
        """Return all rulings, ascending by sequence; there are few."""
        doing = "reading rulings"
        pointers = self._database.query(doing, LEDGER_TABLE, (LEDGER_PARTITION_KEY, "ruling"))
        keys = [_sequence_key(_sequence(pointer)) async for pointer in pointers]
        found = await self._database.batch_get(doing, LEDGER_TABLE, keys)
        rulings = [record for record in map(_record, found) if isinstance(record, Ruling)]
        return sorted(rulings, key=lambda ruling: ruling.sequence)

    async def record_effects(self, effects: Mapping[str, Effect]) -> None:
        """Record the effect of each source_id; one of a lower `as_of` never replaces another."""
        slots = asyncio.Semaphore(_CONCURRENT_WRITES)

        async def record(source_id: str, effect: Effect) -> None:
            what = f"the effect of source object {source_id}"
            item: Item = {
                **ledger_key("effect", source_id),
                "as_of": number(effect.as_of),
                "effect": document(effect.to_json(), what),
            }
            async with slots:
                # False: a later effect is there, or this one, its answer having been lost.
                await self._database.put(
                    f"recording {what}",
                    put(self._database.table(LEDGER_TABLE), item, not_above("as_of", effect.as_of)),
                )

        async with asyncio.TaskGroup() as group:
            for source_id, effect in effects.items():
                group.create_task(record(source_id, effect))

    async def effects(self, source_ids: Sequence[str]) -> dict[str, Effect]:
        """Return the recorded effects by source_id; absent where there is none yet."""
        # BatchGetItem refuses a key that is given twice.
        keys = [ledger_key("effect", source_id) for source_id in dict.fromkeys(source_ids)]
        items = await self._database.batch_get("reading effects", LEDGER_TABLE, keys)
        found = {
            item[LEDGER_SORT_KEY]["S"]: Effect.from_json(_json(item, "effect")) for item in items
        }
        return {source_id: found[source_id] for source_id in source_ids if source_id in found}

    async def _find(self, doing: str, kind: str, name: str, of: type[R]) -> R | None:
        """Return the record that a pointer of some kind and name leads to; None without one."""
        database = self._database
        pointer = await database.get(doing, LEDGER_TABLE, ledger_key(kind, name))
        if pointer is None:
            return None
        sequence = _sequence(pointer)
        item = await database.get(doing, LEDGER_TABLE, _sequence_key(sequence))
        record = None if item is None else _record(item)
        if not isinstance(record, of):
            message = f"{doing}: no {of.__name__.lower()} at its sequence {sequence}"
            raise StoreError(message, url=database.url, retryable=False)
        return record

    async def _commit(self, doing: str, pointer: Item, record: R) -> R:
        """Append a record, or return the one committed before under its pointer's key."""
        kind, name = (pointer[key]["S"] for key in (LEDGER_PARTITION_KEY, LEDGER_SORT_KEY))
        retries = self._database.retry.start()
        while True:
            committed = record.at(await self.head() + 1)
            reasons = await self._append(doing, pointer, committed)
            if not reasons:
                return committed
            if reasons[0] == CONDITION_FAILED:
                earlier = await self._find(doing, kind, name, type(record))
                if earlier is not None:
                    return earlier
            # Another record took the sequence, or is about to.
            if not await retries.again():
                raise StoreError(f"{doing}: others kept committing", url=self._database.url)

    async def _append(self, doing: str, pointer: Item, record: Record) -> list[str]:
        """Commit `record` at its sequence; see `Database.transact` for what is returned."""
        table = self._database.table(LEDGER_TABLE)
        sequence = number(record.sequence)
        what = f"the {type(record).__name__.lower()} of {record.url}"
        item: Item = {
            **_sequence_key(record.sequence),
            "entry": document(record.to_json(), what),
        }
        head: Item = {**ledger_key("head", "head"), "sequence": sequence}
        return await self._database.transact(
            doing,
            [
                {"Put": put(table, {**pointer, "sequence": sequence}, absent("sequence"))},
                {"Put": put(table, item, absent("entry"))},
                {"Put": put(table, head, unchanged("sequence", record.sequence - 1))},
            ],
        )


def _name(item: Item) -> str:
    return f"{item[LEDGER_PARTITION_KEY]['S']} {item[LEDGER_SORT_KEY]['S']}"


def _digits(sequence: int) -> str:
    return f"{sequence:0{_SEQUENCE_DIGITS}d}"


def _sequence_key(sequence: int) -> Item:
    return ledger_key("sequence", _digits(sequence))


def _record(item: Item) -> Record:
    return record_from_json(_json(item, "entry"))


def _sequence(item: Item) -> int:
    with parsing(f"sequence in ledger item {_name(item)}"):
        return int(item["sequence"]["N"])


def _json(item: Item, name: str) -> bytes:
    """Return a JSON document of an item."""
    with parsing(f"{name} in ledger item {_name(item)}"):
        return document_bytes(item[name])
