"""What the ledger's table keeps of source objects beside their entries: effects and sightings."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from kpi.aggregation.tables import LEDGER_SORT_KEY, LEDGER_TABLE
from worker.state import Effect, Pointer, Sighting
from worker.state.dynamodb.client import Database
from worker.state.dynamodb.items import document, json_of, not_above, number, put, sequence_of
from worker.state.dynamodb.many import read_many
from worker.state.entry import stored_name

if TYPE_CHECKING:
    from worker.state.dynamodb.items import Item

_CONCURRENT_WRITES = 16
"""Effects written at once."""


class DynamoDBSources:
    """Part of the DynamoDB implementation of `worker.state.Ledger`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record_effects(self, effects: Mapping[str, Effect]) -> None:
        """Record the effect of each source_id; one of a lower `as_of` never replaces another."""
        slots = asyncio.Semaphore(_CONCURRENT_WRITES)

        async def record(source_id: str, effect: Effect) -> None:
            what = f"the effect of source object {source_id}"
            item: Item = {
                **self._database.ledger_key("effect", source_id),
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
        keys = [
            self._database.ledger_key("effect", source_id)
            for source_id in dict.fromkeys(source_ids)
        ]
        items = await self._database.batch_get("reading effects", LEDGER_TABLE, keys)
        found = {
            item[LEDGER_SORT_KEY]["S"]: Effect.from_json(json_of(item, "effect")) for item in items
        }
        return {source_id: found[source_id] for source_id in source_ids if source_id in found}

    async def record_sighting(self, source_id: str, sighting: Sighting) -> None:
        """Record how the file of a source was last seen; it replaces the sighting before."""
        what = f"the sighting of source object {source_id}"
        item: Item = {
            **self._database.ledger_key("sighting", source_id),
            "sighting": document(sighting.to_json(), what),
        }
        await self._database.put(f"recording {what}", put(self._database.table(LEDGER_TABLE), item))

    async def sightings(self, source_ids: Sequence[str]) -> dict[str, Sighting]:
        """Return the recorded sightings by source_id; absent where there is none yet."""
        items = await read_many(self._database, "reading sightings", "sighting", source_ids)
        return {name: Sighting.from_json(json_of(item, "sighting")) for name, item in items.items()}

    async def pointers(
        self, source_ids: Collection[str], *, staged_for: str | None = None
    ) -> dict[str, Pointer]:
        """Return where the entries of many source objects are; absent where there is none."""
        kind = "source" if staged_for is None else "staged"
        ids = {stored_name(one, staged_for): one for one in source_ids}
        items = await read_many(self._database, "looking up source objects", kind, ids)
        return {
            ids[name]: Pointer(
                sequence=sequence_of(item),
                # 0.1.0 wrote it too; where it is missing, the entry has it.
                accepted=item.get("verdict") == {"S": "accepted"},
            )
            for name, item in items.items()
        }
