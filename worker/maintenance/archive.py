"""Move a raw object away once the ledger has its verdict."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import orjson

from worker.errors import ConfigError, SourceChanged, SourceError, StoreError
from worker.objects import CopyingWriter, ObjectInfo, ObjectStore, TimeKeepingWriter
from worker.objects.location import Location
from worker.objects.source import Source, identify, source_id
from worker.runtime.memory_budget import READ_BLOCK_BYTES
from worker.state import Entry, Ledger
from worker.state.paging import entries_in_pages
from worker.state.receipt import receipt
from worker.validate.file_versions import identify as identify_file

MAX_KEY_BYTES = 1024
"""Bytes of a key in S3 (S3 user guide, "Naming Amazon S3 objects")."""

VERDICT_SUFFIX = ".verdict.json"


async def archive(
    source: ObjectStore,
    place: Location,
    *,
    version_id: str | None = None,
    ledger: Ledger,
    store: ObjectStore,
    to: Location,
) -> tuple[Entry, str]:
    """Move a source object to `archive/` if it was accepted, else to `quarantine/`.

    A refused one gets its receipt beside it, `<key>.verdict.json`. The original is deleted once the
    copy is complete, and only the version of the ledger's entry. An object that was moved before
    stays as it is.

    Args:
        source: Store of the object.
        place: The object.
        version_id: Its S3 version, as an event names it; None for the current one.
        ledger: Ledger with its verdict.
        store: Store that it is moved to.
        to: Location in that store.

    Returns:
        Its entry, and the key of the copy.

    Raises:
        StoreError: The ledger has no entry of it yet.
        SourceError: It is gone, and there is no copy.
    """
    try:
        info = await source.stat(place.key, version_id=version_id)
    except SourceError:
        moved = await _moved(source, place, version_id, ledger, store, to)
        if moved is None:
            raise
        return moved
    entry = await _find_entry(source, info, ledger)
    if entry is None:
        raise StoreError("not in the ledger yet, so it stays where it is", url=info.url)
    key = _target(entry, place.key, to)
    await _copy(source, info, store, key)
    if entry.verdict == "refused":
        async with store.create(f"{key}{VERDICT_SUFFIX}") as writer:
            await writer.write(orjson.dumps(receipt(entry), option=orjson.OPT_INDENT_2))
    kind, _, found_id = info.version.partition(":")
    if kind != "version" and await source.stat(place.key) != info:
        message = "it was uploaded again meanwhile, so it stays"
        raise SourceChanged(message, url=info.url, expected=info.version)
    await source.delete(info.key, version_id=found_id if kind == "version" else None)
    return entry, key


def check_outside(place: Location, to: Location, folders: Iterable[str]) -> None:
    """Check that the copies are not below the input that the object belongs to.

    Args:
        place: The object.
        to: Where the copies go.
        folders: Folders of the contract's datasets: the input is the folder above such a one.

    Raises:
        ConfigError: A run over the input would read the copies as new uploads.
    """
    parents = place.key.split("/")[:-1]
    known = set(folders)
    at = max((number for number, name in enumerate(parents) if name in known), default=None)
    root = parents if at is None else parents[:at]
    if place.bucket == to.bucket and to.key.split("/")[: len(root)] == root:
        raise ConfigError(
            option="--to",
            expected="a place that is not below the input",
            actual=to.url,
            hint="a run would read the copies as new uploads",
        )


async def _find_entry(source: ObjectStore, info: ObjectInfo, ledger: Ledger) -> Entry | None:
    """Return the entry of the bytes that are there now; None where they are not validated."""
    if info.stamp is None:
        return await ledger.find(source_id(info))
    version = await identify_file(Source(info=info, dataset="", store=source), ledger)
    return await ledger.find(version.source.source_id)


async def _moved(
    source: ObjectStore,
    place: Location,
    version_id: str | None,
    ledger: Ledger,
    store: ObjectStore,
    to: Location,
) -> tuple[Entry, str] | None:
    """Find the entry and the copy of an object that is gone; None where either is missing."""
    if version_id is not None:
        found = await ledger.find(identify(place.bucket, place.key, f"version:{version_id}"))
        entries = [found] if found else []
    elif [info async for info in source.list(place.key)]:
        return None  # it exists and cannot be read
    else:
        # The event names no version: take the last upload with a verdict.
        every = entries_in_pages(ledger, await ledger.head())
        entries = [one async for page in every for one in page if one.url == place.url]
    for entry in reversed(entries):
        key = _target(entry, place.key, to)
        try:
            await store.stat(key)
        except SourceError:
            continue
        return entry, key
    return None


def _target(entry: Entry, key: str, to: Location) -> str:
    zone = "archive" if entry.verdict == "accepted" else "quarantine"
    target = to.join(zone, entry.source_id, key if to.bucket else _as_path(key))
    if to.bucket and len(f"{target}{VERDICT_SUFFIX}".encode()) > MAX_KEY_BYTES:
        return to.join(zone, entry.source_id, _short_key(key))
    return target


def _short_key(key: str) -> str:
    """Shorten a key to its dataset folder and a hash; the ledger has the whole key."""
    folder, _, name = key.rpartition("/")
    endings = "".join(Path(name).suffixes[-2:])
    short = f"{sha256(key.encode()).hexdigest()[:32]}{endings if len(endings) <= 16 else ''}"
    dataset = Path(folder).name
    return f"{dataset}/{short}" if dataset and len(dataset.encode()) <= 255 else short


def _as_path(key: str) -> str:
    """Convert a key of S3 to a path below a folder, where `..` would lead out of it."""
    parts = (part.replace(".", "%2E") if part in (".", "..") else part for part in key.split("/"))
    return "/".join(parts).replace("\0", "%00")


async def _copy(source: ObjectStore, info: ObjectInfo, target: ObjectStore, key: str) -> None:
    """Copy any length in bounded memory: within S3 by S3 itself, else block by block."""
    async with target.create(key) as writer:
        if isinstance(writer, TimeKeepingWriter):
            writer.keep_time(info)
        if info.bucket and isinstance(writer, CopyingWriter):
            await writer.copy(info)
        else:
            for start in range(0, info.size_bytes, READ_BLOCK_BYTES):
                end = min(start + READ_BLOCK_BYTES, info.size_bytes)
                await writer.write(await source.read(info, start, end))
    copied = await target.stat(key)
    if copied.size_bytes != info.size_bytes:
        raise SourceError(
            url=copied.url,
            expected=f"{info.size_bytes} bytes",
            actual=f"{copied.size_bytes} bytes",
        )
