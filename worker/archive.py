"""Moving a raw object away once the ledger has its verdict."""

from __future__ import annotations

import orjson

from worker.errors import SourceError, StoreError
from worker.objects import ObjectInfo, ObjectStore
from worker.report import receipt
from worker.source import Source
from worker.state import Ledger
from worker.stream import BLOCK_BYTES
from worker.urls import Location


async def archive(source: Source, *, ledger: Ledger, store: ObjectStore, to: Location) -> str:
    """Move a source object to `archive/` if it was accepted, else to `quarantine/`.

    A refused one has its receipt beside it, `<key>.verdict.json`. The copy is whole before the
    original goes; only the version that the ledger speaks of goes.

    Args:
        source: What to move.
        ledger: Has its verdict.
        store: Where it is moved.
        to: The place in it.

    Returns:
        The key of the copy.

    Errors: `StoreError` where the ledger has no entry of it yet.
    """
    entry = await ledger.find(source.source_id)
    if entry is None:
        raise StoreError(f"{source.info.url}: not in the ledger yet, so it stays where it is")
    zone = "archive" if entry.verdict == "accepted" else "quarantine"
    key = to.join(zone, source.source_id, source.info.key)
    await _copy(source.store, source.info, store, key)
    if entry.verdict == "refused":
        async with store.create(f"{key}.verdict.json") as writer:
            await writer.write(orjson.dumps(receipt(entry), option=orjson.OPT_INDENT_2))
    kind, _, version_id = source.info.version.partition(":")
    await source.store.delete(source.info.key, version_id=version_id if kind == "version" else None)
    return key


async def _copy(source: ObjectStore, info: ObjectInfo, target: ObjectStore, key: str) -> None:
    """Block by block: any length, in bounded memory."""
    async with target.create(key) as writer:
        for start in range(0, info.size_bytes, BLOCK_BYTES):
            end = min(start + BLOCK_BYTES, info.size_bytes)
            await writer.write(await source.read(info, start, end))
    copied = await target.stat(key)
    if copied.size_bytes != info.size_bytes:
        raise SourceError(
            f"{copied.url}: expected {info.size_bytes} bytes, got {copied.size_bytes}"
        )
