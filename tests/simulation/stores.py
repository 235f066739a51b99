"""The stores as one process sees them: in memory, with a turn before and after every effect."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import TypeVar

from tests.simulation.schedule import Process, Scheduler
from worker.objects import ObjectInfo, ObjectStore, ObjectWriter, OnUnlisted
from worker.objects.memory import MemoryStore, MemoryWriter
from worker.state import (
    Adoption,
    DayKpis,
    Effect,
    Entry,
    Erasure,
    Lease,
    Outcome,
    Pointer,
    Progress,
    Record,
    Row,
    Ruling,
    Sighting,
    State,
    TableMarks,
)

T = TypeVar("T")
Check = Callable[[], Awaitable[None]]
Work = Callable[[], Awaitable[T]]


class _Stepped:
    def __init__(self, scheduler: Scheduler, process: Process, check: Check) -> None:
        self._scheduler = scheduler
        self._process = process
        self._check = check

    async def _read(self, operation: str, detail: object, work: Work[T]) -> T:
        return await self._scheduler.step(self._process, operation, str(detail), work)

    async def _write(self, operation: str, detail: object, work: Work[T]) -> T:
        async def checked() -> T:
            result = await work()
            await self._check()
            return result

        return await self._scheduler.step(self._process, operation, str(detail), checked)


class SteppedState(_Stepped):
    """See `worker.state.State`.

    Args:
        state: The state that it wraps.
        scheduler: Gives turns.
        process: Who asks.
        check: Called after each write, before any other process can go on.
    """

    def __init__(self, state: State, scheduler: Scheduler, process: Process, check: Check) -> None:
        super().__init__(scheduler, process, check)
        self._state = state

    async def find(self, source_id: str) -> Entry | None:
        return await self._read("find", source_id, lambda: self._state.find(source_id))

    async def find_staged(self, source_id: str, contract: str) -> Entry | None:
        return await self._read(
            "find_staged", source_id, lambda: self._state.find_staged(source_id, contract)
        )

    async def pointers(
        self, source_ids: Collection[str], *, staged_for: str | None = None
    ) -> dict[str, Pointer]:
        return await self._read(
            "pointers", "", lambda: self._state.pointers(source_ids, staged_for=staged_for)
        )

    async def entries_at(self, sequences: Collection[int]) -> list[Entry]:
        return await self._read("entries_at", "", lambda: self._state.entries_at(sequences))

    async def stage(self, entry: Entry) -> Entry:
        return await self._write("stage", entry.source_id, lambda: self._state.stage(entry))

    async def commit(
        self, entry: Entry, *, adoption: Adoption | None = None, replaces: int = 0
    ) -> Entry:
        return await self._write(
            "commit",
            entry.source_id,
            lambda: self._state.commit(entry, adoption=adoption, replaces=replaces),
        )

    async def adoption(self) -> Adoption | None:
        return await self._read("adoption", "", self._state.adoption)

    async def adopt(
        self, adoption: Adoption, *, replaces: int, head: int | None = None
    ) -> Adoption:
        return await self._write(
            "adopt",
            adoption.digest,
            lambda: self._state.adopt(adoption, replaces=replaces, head=head),
        )

    async def erase(self, erasure: Erasure, *, head: int) -> Erasure:
        return await self._write(
            "erase", erasure.mode, lambda: self._state.erase(erasure, head=head)
        )

    async def erasures(self) -> list[Erasure]:
        return await self._read("erasures", "", self._state.erasures)

    async def rewritten(self, erasure_id: str) -> list[Entry]:
        return await self._read("rewritten", "", lambda: self._state.rewritten(erasure_id))

    async def erasure_key(self, proposed: bytes | None = None) -> bytes | None:
        return await self._write("erasure_key", "", lambda: self._state.erasure_key(proposed))

    async def rule(self, ruling: Ruling) -> Ruling:
        detail = f"{ruling.kind} {ruling.source_id}"
        return await self._write("rule", detail, lambda: self._state.rule(ruling))

    async def head(self) -> int:
        return await self._read("head", "", self._state.head)

    async def entries(self, *, after: int = 0, up_to: int | None = None) -> list[Entry]:
        return await self._read(
            "entries", up_to, lambda: self._state.entries(after=after, up_to=up_to)
        )

    async def records(self, *, after: int = 0, up_to: int | None = None) -> list[Record]:
        return await self._read(
            "entries", up_to, lambda: self._state.records(after=after, up_to=up_to)
        )

    async def rulings(self) -> list[Ruling]:
        return await self._read("rulings", "", self._state.rulings)

    async def record_effects(self, effects: Mapping[str, Effect]) -> None:
        await self._write("record_effects", "", lambda: self._state.record_effects(effects))

    async def effects(self, source_ids: Sequence[str]) -> dict[str, Effect]:
        return await self._read("effects", "", lambda: self._state.effects(source_ids))

    async def record_sighting(self, source_id: str, sighting: Sighting) -> None:
        await self._write(
            "record_sighting", "", lambda: self._state.record_sighting(source_id, sighting)
        )

    async def sightings(self, source_ids: Sequence[str]) -> dict[str, Sighting]:
        return await self._read("sightings", "", lambda: self._state.sightings(source_ids))

    async def publish(self, day: DayKpis, as_of: int) -> Outcome:
        detail = f"{day.order_date}@{as_of}"
        return await self._write("publish", detail, lambda: self._state.publish(day, as_of))

    async def progress(self) -> Progress:
        return await self._read("progress", "", self._state.progress)

    async def advance(self, progress: Progress) -> Progress:
        detail = progress.waiting_as_of
        return await self._write("advance", detail, lambda: self._state.advance(progress))

    async def lease(self) -> Lease:
        return await self._read("lease", "", self._state.lease)

    async def put_lease(self, lease: Lease) -> bool:
        return await self._write("put_lease", lease, lambda: self._state.put_lease(lease))

    async def publication_times(
        self, *, first: date | None = None, last: date | None = None
    ) -> dict[date, datetime]:
        return await self._state.publication_times(first=first, last=last)

    async def days(self) -> dict[date, Mapping[str, int]]:
        return await self._read("days", "", self._state.days)

    async def rows(
        self,
        table: str,
        *,
        first: date | None = None,
        last: date | None = None,
        group: str | None = None,
    ) -> AsyncIterator[Row]:
        async def collect() -> list[Row]:
            found = self._state.rows(table, first=first, last=last, group=group)
            return [row async for row in found]

        for row in await self._read("rows", table, collect):
            yield row

    async def marks(self) -> TableMarks:
        return await self._read("marks", "", self._state.marks)

    async def mark_again(self, ledger: str, as_of: int) -> None:
        await self._write("mark_again", as_of, lambda: self._state.mark_again(ledger, as_of))

    async def delete_unguarded(self) -> int:
        return await self._write("delete_unguarded", "", self._state.delete_unguarded)

    async def create_tables(self) -> list[str]:
        return await self._state.create_tables()

    async def close(self) -> None:
        await self._state.close()


class SteppedStore(_Stepped):
    """See `worker.objects.ObjectStore`; arguments as `SteppedState`."""

    def __init__(
        self, store: ObjectStore, scheduler: Scheduler, process: Process, check: Check
    ) -> None:
        super().__init__(scheduler, process, check)
        self._store = store

    async def list(
        self, prefix: str, *, on_unlisted: OnUnlisted | None = None
    ) -> AsyncIterator[ObjectInfo]:
        async def collect() -> list[ObjectInfo]:
            return [info async for info in self._store.list(prefix, on_unlisted=on_unlisted)]

        for info in await self._read("list", prefix, collect):
            yield info

    async def stat(self, key: str, *, version_id: str | None = None) -> ObjectInfo:
        return await self._read("stat", key, lambda: self._store.stat(key, version_id=version_id))

    async def read(self, info: ObjectInfo, start: int, end: int) -> bytes:
        detail = f"{info.key} {start}-{end}"
        return await self._read("read", detail, lambda: self._store.read(info, start, end))

    async def read_ranges(
        self, info: ObjectInfo, ranges: Sequence[tuple[int, int]]
    ) -> Sequence[bytes]:
        return await asyncio.gather(*(self.read(info, start, end) for start, end in ranges))

    @asynccontextmanager
    async def create(self, key: str) -> AsyncIterator[ObjectWriter]:
        writer = MemoryWriter()
        yield writer

        async def put() -> None:
            async with self._store.create(key) as into:
                await into.write(bytes(writer.data))

        await self._write("create", key, put)

    async def delete(self, key: str, *, version_id: str | None = None) -> None:
        await self._write("delete", key, lambda: self._store.delete(key, version_id=version_id))

    async def close(self) -> None:
        await self._store.close()


class VersionedStore(MemoryStore):
    """A bucket that keeps overwritten objects: each version can be read for ever."""

    def __init__(self, bucket: str, *, clock: Callable[[], datetime]) -> None:
        super().__init__(bucket, clock=clock)
        self._versions: dict[ObjectInfo, bytes] = {}

    async def stat(self, key: str, *, version_id: str | None = None) -> ObjectInfo:
        for info in self._versions:
            if info.key == key and info.version == f"version:{version_id}":
                return info
        info = await super().stat(key, version_id=version_id)
        self._versions[info] = self._objects[key][1]
        return info

    async def read(self, info: ObjectInfo, start: int, end: int) -> bytes:
        return self._versions[info][start:end]
