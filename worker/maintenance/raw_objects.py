"""Find the raw object of an entry: where it was read, or where it was moved since."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import NoReturn

from worker.errors import ConfigError, SourceError, SourceMissing
from worker.maintenance.archive import VERDICT_SUFFIX
from worker.objects import ObjectInfo, ObjectStore, ObjectWriter, OnUnlisted
from worker.objects.location import Location, locate
from worker.objects.source import Source, identify
from worker.state import Entry, Ledger
from worker.state.sighting import rewritten_name
from worker.validate.content_digest import content_of_parts
from worker.validate.file_versions import hash_file

ZONES = ("archive", "quarantine")
"""Folders that `shopkpi archive` moves raw objects to, each below its source id."""


class RawObjects:
    """Opens the raw objects of entries.

    A raw object is that of an entry where its version is the same, or its bytes are: a file that
    was only touched or copied still serves.

    Attributes:
        ledger: Knows which files were rewritten when a customer was erased; None for none.
    """

    def __init__(
        self,
        open_store: Callable[[Location], Awaitable[ObjectStore]],
        places: Sequence[Location] = (),
    ) -> None:
        """Prepare to look.

        Args:
            open_store: Opens the store of a location.
            places: Where raw objects were moved to.
        """
        self.ledger: Ledger | None = None
        self._open_store = open_store
        self._places = places
        self._stores: dict[str, ObjectStore] = {}

    async def aclose(self) -> None:
        """Close the stores."""
        for store in self._stores.values():
            await store.close()

    async def _store(self, place: Location) -> ObjectStore:
        if place.bucket not in self._stores:
            self._stores[place.bucket] = await self._open_store(place)
        return self._stores[place.bucket]

    async def find(self, entry: Entry) -> Source | None:
        """Return the source of an entry, with the identity that it had; None where it is gone.

        Raises:
            SourceError: An object is there and cannot be read.
            StoreError: A store fails, after retries.
        """
        place = _place(entry)
        if place is None:
            return None
        found = await self._where_it_was(entry, place) or await self._where_it_was_moved(
            entry, place
        )
        if found is None:
            return None
        store, actual = found
        info = ObjectInfo(
            bucket=place.bucket,
            key=place.key,
            size_bytes=actual.size_bytes,
            version=entry.version,
            uploaded_at=entry.uploaded_at,
        )
        return Source(info=info, dataset=entry.dataset, store=_MovedObject(store, actual, info))

    async def _where_it_was(
        self, entry: Entry, place: Location
    ) -> tuple[ObjectStore, ObjectInfo] | None:
        kind, _, version = entry.version.partition(":")
        store = await self._store(place)
        for version_id in (version, None) if kind == "version" else (None,):
            try:
                info = await store.stat(place.key, version_id=version_id)
            except SourceMissing:
                continue
            if await self._is_of(entry, store, info):
                return store, info
        return None

    async def _where_it_was_moved(
        self, entry: Entry, place: Location
    ) -> tuple[ObjectStore, ObjectInfo] | None:
        for moved_to in self._places:
            store = await self._store(moved_to)
            for zone in ZONES:
                async for info in _list(store, moved_to.join(zone, entry.source_id)):
                    if info.key.endswith(VERDICT_SUFFIX):
                        continue
                    # Its folder has the source id; its bytes were compared when it was moved.
                    if info.size_bytes == entry.size_bytes or await self._is_of(entry, store, info):
                        return store, info
            name = "/".join(place.key.split("/")[-2:])
            async for info in _list(store, moved_to.join(name)):
                if await self._is_of(entry, store, info):
                    return store, info
        return None

    async def _is_of(self, entry: Entry, store: ObjectStore, info: ObjectInfo) -> bool:
        """Return whether an object has the bytes of an entry, or had them before an erasure."""
        if await _is_of(entry, store, info):
            return True
        if self.ledger is None or not await self.ledger.erasures():
            return False
        _, digest = await hash_file(Source(info=info, dataset=entry.dataset, store=store))
        name = rewritten_name(content_of_parts(digest.parts or ""))
        found = (await self.ledger.sightings([name])).get(name)
        return found is not None and found.sha256 == (entry.content_id or entry.sha256)


def _place(entry: Entry) -> Location | None:
    """Return where an entry was read; None where its URL does not say it."""
    texts = [entry.url, entry.url.encode("utf-8").decode("unicode_escape", "replace")]
    for text in texts[: 2 if "\\x" in entry.url else 1]:
        try:
            place = locate(text)
        except ConfigError:
            continue
        if identify(place.bucket, place.key, entry.version) == entry.source_id:
            return place
    return None


async def _is_of(entry: Entry, store: ObjectStore, info: ObjectInfo) -> bool:
    """Return whether an object has the bytes of an entry."""
    if info.size_bytes != entry.size_bytes:
        return False
    if info.version == entry.version:
        return True  # a file with other bytes shows by its digest, once it is validated
    known = entry.content_id or entry.sha256
    if known is None:
        return False
    _, digest = await hash_file(Source(info=info, dataset=entry.dataset, store=store))
    return known in (content_of_parts(digest.parts or ""), digest.sha256)


async def _list(store: ObjectStore, prefix: str) -> AsyncIterator[ObjectInfo]:
    try:
        async for info in store.list(prefix):
            yield info
    except SourceMissing:
        return


class _MovedObject:
    """One object under the identity that it had when it was committed."""

    def __init__(self, store: ObjectStore, actual: ObjectInfo, info: ObjectInfo) -> None:
        self._store = store
        self._actual = actual
        self._info = info

    async def read(self, info: ObjectInfo, start: int, end: int) -> bytes:
        self._check(info)
        return await self._store.read(self._actual, start, end)

    async def read_ranges(
        self, info: ObjectInfo, ranges: Sequence[tuple[int, int]]
    ) -> Sequence[bytes]:
        self._check(info)
        return await self._store.read_ranges(self._actual, ranges)

    async def stat(self, key: str, *, version_id: str | None = None) -> ObjectInfo:
        """Return the identity that the object had, while it is still the same object."""
        actual_key = self._actual.key if key == self._info.key else key
        now = await self._store.stat(actual_key, version_id=version_id)
        same = replace(now, stamp=None) == replace(self._actual, stamp=None)
        return self._info if same else now

    def _check(self, info: ObjectInfo) -> None:
        if info != self._info:
            raise SourceError("another object was asked for", url=info.url)

    def list(
        self, prefix: str, *, on_unlisted: OnUnlisted | None = None
    ) -> AsyncIterator[ObjectInfo]:
        self._refuse(prefix, on_unlisted)

    def create(self, key: str) -> AbstractAsyncContextManager[ObjectWriter]:
        self._refuse(key)

    async def delete(self, key: str, *, version_id: str | None = None) -> None:
        self._refuse(key, version_id)

    def _refuse(self, *_: object) -> NoReturn:
        raise SourceError("a raw object of the ledger is only read", url=self._info.url)

    async def close(self) -> None:
        """Do nothing: whoever opened the store closes it."""
