"""Delete what nothing names: objects of lost races and of processes that were killed.

Below `index/` and `packs/` these are objects that no manifest has, in the clean zone and among the
rejects those of no record of the ledger. None younger than a day is deleted: its writer may be
about to name it. A writer that finds the bytes it wants in an object of half a day or more writes
them again, so that it is young once more. Names are read after the objects were listed, and each
object is looked up once more before it goes.

Packs of before the last erasure of a customer are deleted whatever their age: only a transform that
slept through the erasure, and died, leaves them, and nobody reads them any more.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from worker.clean import STORED_KEY, Workspace
from worker.errors import SourceError
from worker.index.checkpoint_manifest import SEGMENT_NAME
from worker.index.manifest import RUN_NAME
from worker.index.sums_manifest import PAGE_NAME
from worker.maintenance.manifests import read_named
from worker.objects import StoredName, SweepingStore, list_names
from worker.packs.manifest import MANIFEST_NAME as PACKS
from worker.packs.manifest import PACK_NAME
from worker.state import Entry, Ledger
from worker.state.erasures import former_generations
from worker.state.paging import records_in_pages

MIN_AGE = timedelta(days=1)
"""Age of what is deleted, at least."""

ZONES = ("index", "packs", "clean", "rejects")
"""Folders below the workspace in which objects are collected."""

CANDIDATES = 100_000
"""Keys that are compared with the ledger at once, some 200 bytes each."""

_RANGE = re.compile(r"(-\d{15}-\d{15})?\.parquet$")
"""End of the name of an object, which has the byte range whose rows it has."""


@dataclass(kw_only=True)
class Collected:
    """What was deleted, or would be.

    Attributes:
        objects: Zone -> number of its objects.
        size_bytes: Zone -> their bytes.
    """

    objects: dict[str, int] = field(default_factory=dict)
    size_bytes: dict[str, int] = field(default_factory=dict)


class Collector:
    """Finds and deletes the objects of one shop that nothing names.

    Args:
        workspace: Where they are.
        ledger: Its ledger.
        dry_run: Whether to delete nothing.
        found: Called with each of them.
        now: Returns the present time.
    """

    def __init__(
        self,
        workspace: Workspace,
        ledger: Ledger,
        *,
        dry_run: bool = False,
        found: Callable[[StoredName], None] = lambda _: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._workspace = workspace
        self._ledger = ledger
        self._dry_run = dry_run
        self._found = found
        self._now = now
        self.collected = Collected()
        self._done: set[str] = set()

    async def collect(self) -> Collected:
        """Delete all of them.

        Raises:
            SourceError, StoreError: A store fails after retries.
        """
        await self._collect_former_packs()
        for zone in ("index", "packs"):
            await self._collect_derived(zone)
        for zone in ("clean", "rejects"):
            batch: list[StoredName] = []
            async for one in self._old(zone):
                batch.append(one)
                if len(batch) == CANDIDATES:
                    await self._collect_batch(zone, batch)
                    batch = []
            await self._collect_batch(zone, batch)
        if not self._dry_run:
            await sweep(self._workspace)
        return self.collected

    async def _collect_derived(self, zone: str) -> None:
        """Delete objects that no manifest names; none where one of them cannot be read."""
        listed = [one async for one in self._old(zone)]
        if not listed:
            return
        try:
            named = await self._named_by_manifests()
        except SourceError:
            return  # the next transform replaces the manifest
        for one in listed:
            name = one.key.rpartition("/")[2]
            if _is_object_of(zone, name) and name not in named:
                await self._delete(zone, one)

    async def _collect_former_packs(self) -> None:
        """Delete packs and manifests of packs that have rows of customers erased since."""
        former = former_generations(await self._ledger.erasures())
        if not former:
            return
        async for one in self._listed("packs"):
            name = one.key.rpartition("/")[2]
            found = PACK_NAME.fullmatch(name) or PACKS.fullmatch(name)
            if found is not None and (found["generation"] or "") in former:
                await self._delete("packs", one, min_age=timedelta(0))

    async def _listed(self, zone: str) -> AsyncIterator[StoredName]:
        """Yield the shop's objects of a zone."""
        root = self._workspace.absolute("x")[:-1]
        async for one in list_names(self._workspace.store, self._workspace.absolute(zone)):
            if self._workspace.owns(one.key.removeprefix(root)):
                yield one

    async def _old(self, zone: str) -> AsyncIterator[StoredName]:
        """Yield the shop's objects of a zone that are old enough."""
        latest = self._now() - MIN_AGE
        async for one in self._listed(zone):
            if one.modified_at <= latest:
                yield one

    async def _named_by_manifests(self) -> set[str]:
        return await read_named(self._workspace)

    async def _collect_batch(self, zone: str, batch: Collection[StoredName]) -> None:
        """Delete those of some clean or reject objects that no record names."""
        if not batch:
            return
        root = self._workspace.absolute("x")[:-1]
        left = {
            key: one
            for one in batch
            if STORED_KEY.fullmatch(key := one.key.removeprefix(root)) is not None
        }
        async for page in records_in_pages(self._ledger, await self._ledger.head()):
            for record in page:
                if isinstance(record, Entry):
                    for key in record.keys:
                        left.pop(key, None)
        for key, one in left.items():
            if not await self._is_of_pending_ranges(key):
                await self._delete(zone, one)

    async def _is_of_pending_ranges(self, key: str) -> bool:
        """Return whether an object is of a byte range whose source is not committed yet.

        A file of language 2 is one range, and its objects have the keys of a whole file.
        """
        result = _RANGE.sub("", key.rpartition("/")[2])
        folder = self._workspace.absolute(self._workspace.pieces_of(result))
        async for _ in list_names(self._workspace.store, folder):
            return True
        return False

    async def _delete(
        self, zone: str, one: StoredName, *, min_age: timedelta | None = None
    ) -> None:
        min_age = MIN_AGE if min_age is None else min_age
        if one.key in self._done:
            return
        self._done.add(one.key)
        if not self._dry_run:
            try:
                info = await self._workspace.store.stat(one.key)
            except SourceError:
                return  # another process was quicker
            if min_age and info.uploaded_at > self._now() - min_age:
                return  # written again since
            await self._workspace.store.delete(one.key)
        collected = self.collected
        collected.objects[zone] = collected.objects.get(zone, 0) + 1
        collected.size_bytes[zone] = collected.size_bytes.get(zone, 0) + one.size_bytes
        self._found(one)


async def sweep(workspace: Workspace) -> None:
    """Remove the temporary files of dead processes, where the store leaves any.

    Raises:
        StoreError: The store fails.
    """
    if isinstance(workspace.store, SweepingStore):
        for zone in ZONES:
            await workspace.store.sweep(workspace.absolute(zone))


def _is_object_of(zone: str, name: str) -> bool:
    """Return whether a name is one that writers give, rather than a manifest's."""
    patterns = (PACK_NAME,) if zone == "packs" else (RUN_NAME, SEGMENT_NAME, PAGE_NAME)
    return any(pattern.fullmatch(name) for pattern in patterns)
