"""Keep effects and sightings of source objects, and look up many of their entries."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence

from worker.state import Effect, Entry, Pointer, Sighting
from worker.state.entry import stored_name
from worker.state.sqlite.connection import SqliteFile
from worker.state.sqlite.ledger_rows import entries_at, find_pointers


class SqliteSources:
    """Part of the SQLite implementation of `worker.state.Ledger`."""

    def __init__(self, file: SqliteFile, shop: str) -> None:
        self._file = file
        self._shop = shop

    async def pointers(
        self, source_ids: Collection[str], *, staged_for: str | None = None
    ) -> dict[str, Pointer]:
        kind = "entry" if staged_for is None else "staged"
        ids = {stored_name(one, staged_for): one for one in source_ids}
        found = await self._file.run(lambda db: find_pointers(db, self._shop, kind, ids))
        return {ids[name]: pointer for name, pointer in found.items()}

    async def entries_at(self, sequences: Collection[int]) -> list[Entry]:
        return await self._file.run(lambda db: entries_at(db, self._shop, sequences))

    async def record_effects(self, effects: Mapping[str, Effect]) -> None:
        statement = (
            "INSERT INTO effects (shop, source_id, as_of, effect) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (shop, source_id) DO UPDATE SET as_of = excluded.as_of, "
            "effect = excluded.effect WHERE excluded.as_of >= effects.as_of"
        )
        rows = [
            (self._shop, one, effect.as_of, effect.to_json().decode())
            for one, effect in effects.items()
        ]
        await self._file.run(lambda db: db.executemany(statement, rows))

    async def effects(self, source_ids: Sequence[str]) -> dict[str, Effect]:
        query = "SELECT effect FROM effects WHERE shop = ? AND source_id = ?"

        def look_up(db: sqlite3.Connection) -> dict[str, Effect]:
            found = {}
            for source_id in source_ids:
                row = db.execute(query, (self._shop, source_id)).fetchone()
                if row:
                    found[source_id] = Effect.from_json(row[0])
            return found

        return await self._file.run(look_up)

    async def record_sighting(self, source_id: str, sighting: Sighting) -> None:
        statement = "INSERT OR REPLACE INTO sightings (shop, source_id, sighting) VALUES (?, ?, ?)"
        row = (self._shop, source_id, sighting.to_json().decode())
        await self._file.run(lambda db: db.execute(statement, row))

    async def sightings(self, source_ids: Sequence[str]) -> dict[str, Sighting]:
        query = "SELECT sighting FROM sightings WHERE shop = ? AND source_id = ?"

        def look_up(db: sqlite3.Connection) -> dict[str, Sighting]:
            found = {}
            for source_id in source_ids:
                row = db.execute(query, (self._shop, source_id)).fetchone()
                if row:
                    found[source_id] = Sighting.from_json(row[0])
            return found

        return await self._file.run(look_up)
