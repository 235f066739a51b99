"""Versions of files: tell other bytes of the same path, mtime and size from the same bytes.

The version of a file is its mtime and size, and so is its `source_id`: moving, copying or restoring
a folder makes no new sources. But `cp -p`, `rsync -t` and `tar x` may put other bytes there, with
the old mtime. So:

1. Where mtime, size, ctime and inode are those of the sighting, the file is known and not read.
2. Else its bytes are hashed. The same bytes are the same version, and the sighting is renewed.
3. Where the ledger has another version of the file, of the same size, and the same bytes, its rows
   are taken from that one: a large file that was touched is hashed and not validated.
4. Other bytes are the version `mtime:<ns>:<size>:<replacements>:<digest>`. Their `uploaded_at` is
   later by as many microseconds as there were replacements, so that the last one wins.

A file may change while it is read, or so soon after that its times stay the same: mtime and ctime
advance by ticks, of up to 2 s on FAT. So the entry is committed only where the file looks as it did
before, or hashes to what was read. And a sighting has no stamp where the file was that young.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from datetime import timedelta

from kpi.contract.receipt_notes import Note
from worker.errors import SourceChanged
from worker.objects import ObjectInfo
from worker.objects.source import Source, source_id
from worker.objects.source import identify as make_id
from worker.runtime.memory_budget import READ_BLOCK_BYTES
from worker.state import Entry, Ledger, Sighting
from worker.validate.byte_range import ByteRange
from worker.validate.content_digest import ContentDigest, content_of_parts
from worker.validate.context import ValidationContext, content_before_erasures

TICK_NS = 2 * 10**9
"""Longest step of a file system's times: FAT keeps mtimes in steps of 2 s."""

COPIED_FILE_BYTES = 2**20
"""Size from which on it pays to look for an equal version before a file is validated."""

HASH_ATTEMPTS = 3
"""Times that a file is hashed while it keeps changing."""


@dataclass(frozen=True, kw_only=True)
class FileVersion:
    """The version of a file's bytes.

    Attributes:
        source: The file, with that version.
        replacements: Number of times that other bytes were found under its mtime and size.
        content: Identifies the bytes, as `Entry.content`; None where they have not been read.
        is_seen: Whether the ledger knows that the file looks like this.
    """

    source: Source
    replacements: int = 0
    content: str | None = None
    is_seen: bool = False


async def identify(source: Source, ledger: Ledger) -> FileVersion:
    """Find out which version of a file is there now, reading it only where its looks are new.

    Raises:
        SourceError: The file cannot be read, or keeps changing.
        StoreError: The ledger fails.
    """
    key = source.source_id
    sighting = (await ledger.sightings([key])).get(key)
    if sighting is not None and is_seen(source.info, sighting):
        return FileVersion(
            source=known_version(source, sighting),
            replacements=sighting.replacements,
            content=sighting.sha256,
            is_seen=True,
        )
    first = await ledger.find(key) if sighting is None else None
    if sighting is None and first is None:
        return FileVersion(source=source)
    source, digest = await hash_file(source)
    if source.source_id != key:
        raise SourceChanged("it was changed while it was being read", url=source.info.url)
    content = content_of_parts(digest.parts or "")
    if sighting is None:
        # An entry without digest is of a release that made none, or of byte ranges: its bytes
        # cannot be told from others.
        known = (first.content_id or first.sha256) if first is not None else None
        if known == await content_before_erasures(content, ledger):
            known = content
        sighting = Sighting(version=source.info.version, sha256=known or content)
    # 0.1.0 has the SHA-256 of all bytes.
    if sighting.sha256 in (content, digest.sha256):
        version, replacements = sighting.version, sighting.replacements
    else:
        replacements = sighting.replacements + 1
        version = f"{source.info.version}:{replacements}:{content[:16]}"
    return FileVersion(
        source=_with_version(source, version, replacements),
        replacements=replacements,
        content=content,
    )


async def find_equal(version: FileVersion, context: ValidationContext) -> FileVersion | Entry:
    """Find the entry of an earlier version of a file, if it has the same bytes.

    It is looked for where the file is large, or its folder was moved.

    Returns:
        An entry for the file that has the rows of the earlier one, and is to be committed; or else
        the version, with its content where the file had to be hashed.

    Raises:
        SourceError, StoreError: As `identify`.
    """
    info = version.source.info
    moved = context.moved.get(info.url)
    if moved is not None:
        equal = await _compare(version, context.erasures.effective(moved), context)
        return replace(equal, moved_from=moved.url) if isinstance(equal, Entry) else equal
    if info.size_bytes < COPIED_FILE_BYTES:
        return version
    sighting = (await context.ledger.sightings([name_id(info)])).get(name_id(info))
    if sighting is None:
        return version
    earlier = await context.find(make_id(info.bucket, info.key, sighting.version))
    if (
        earlier is None
        or not (earlier.verdict == "accepted" and context.is_final(earlier))
        or earlier.size_bytes != info.size_bytes
        # By a contract of language 2, the same name and bytes feed the same datasets.
        or (context.contract.shop is None and earlier.dataset != version.source.dataset)
    ):
        return version
    return await _compare(version, earlier, context)


async def _compare(
    version: FileVersion, earlier: Entry, context: ValidationContext
) -> FileVersion | Entry:
    """Hash a file; see `find_equal` for what is returned."""
    source, digest = await hash_file(version.source)
    if source.source_id != version.source.source_id:
        raise SourceChanged("it was changed while it was being read", url=source.info.url)
    content = content_of_parts(digest.parts or "")
    if content != earlier.content_id:
        return replace(version, source=source, content=content)
    return entry_of_equal(earlier, source, context)


def entry_of_equal(earlier: Entry, source: Source, context: ValidationContext) -> Entry:
    """Build the entry of a source that has the bytes, and takes the rows, of an earlier upload."""
    return replace(
        earlier,
        source_id=source.source_id,
        url=source.info.url,
        version=source.info.version,
        uploaded_at=source.info.uploaded_at,
        content=earlier.content_id,
        continues="",
        moved_from="",
        staged=False,
        sequence=0,
        erased=context.erasures.last,
    )


def name_id(info: ObjectInfo) -> str:
    """Return the key of the sighting that has the last known version of a file's name."""
    return make_id(info.bucket, info.key, "name")


async def find_part(version: FileVersion, entry: Entry, context: ValidationContext) -> str:
    """Find the earlier version of a file that was a copy half done, by its bytes.

    Args:
        version: The file.
        entry: Its entry, not yet committed.
        context: Ledger of the earlier version.

    Returns:
        The source id of an accepted version that ended within a line, and whose bytes are the first
        ones of the file; empty where there is none.

    Raises:
        SourceError, StoreError: As `identify`.
    """
    source = version.source
    info = source.info
    sighting = (await context.ledger.sightings([name_id(info)])).get(name_id(info))
    if sighting is None:
        return ""
    part = await context.find(make_id(info.bucket, info.key, sighting.version))
    if (
        part is None
        or part.source_id == entry.source_id
        or (part.verdict, part.dataset) != ("accepted", entry.dataset)
        or Note.NO_FINAL_LINE_END not in part.notes
        or part.size_bytes >= entry.size_bytes
    ):
        return ""
    first = ContentDigest(ByteRange(0, part.size_bytes), part.size_bytes)
    for start in range(0, part.size_bytes, READ_BLOCK_BYTES):
        end = min(start + READ_BLOCK_BYTES, part.size_bytes)
        await asyncio.to_thread(first.update, await source.store.read(info, start, end))
    return part.source_id if content_of_parts(first.parts or "") == part.content_id else ""


async def confirm(version: FileVersion, entry: Entry) -> FileVersion:
    """Check, behind the last read, that the file still holds the bytes of its entry.

    Raises:
        SourceChanged: It does not; the entry must not be committed.
    """
    source = version.source
    now = await source.store.stat(source.info.key)
    if _base_version(source.info) != now.version or entry.content_id is None:
        raise SourceChanged("it was changed while it was being read", url=source.info.url)
    if now.stamp != source.info.stamp:
        # Only ctime or inode: rights, another link, a file system without stable inodes. Or else
        # other bytes.
        found, digest = await hash_file(replace(source, info=now))
        content = content_of_parts(digest.parts or "")
        if content != entry.content_id or found.info.version != now.version:
            raise SourceChanged("it was replaced while it was being read", url=source.info.url)
        source = replace(source, info=replace(source.info, stamp=found.info.stamp))
    if version.content is not None and version.content != entry.content_id:
        raise SourceChanged("it was replaced while it was being read", url=source.info.url)
    return replace(version, source=source, content=entry.content_id)


async def record(version: FileVersion, entry: Entry, ledger: Ledger, read_at_ns: int) -> None:
    """Record how a file looked whose bytes the ledger has.

    Args:
        version: The file and its digest.
        entry: Its entry.
        ledger: Receives the sighting.
        read_at_ns: When reading began, Unix time.
    """
    source = version.source
    if version.content is None or source.info.stamp is None or version.is_seen:
        return
    newest_ns = max(source.info.stamp.mtime_ns, source.info.stamp.ctime_ns)
    base = replace(source.info, version=_base_version(source.info))
    await ledger.record_sighting(
        source_id(base),
        Sighting(
            version=source.info.version,
            sha256=version.content,
            stamp=str(source.info.stamp) if newest_ns + TICK_NS <= read_at_ns else "",
            replacements=version.replacements,
        ),
    )
    if source.info.size_bytes >= COPIED_FILE_BYTES or Note.NO_FINAL_LINE_END in entry.notes:
        await ledger.record_sighting(
            name_id(source.info), Sighting(version=source.info.version, sha256=version.content)
        )


def is_seen(info: ObjectInfo, sighting: Sighting) -> bool:
    """Compare how a file looks with how it looked; mtime and size are in its `source_id`."""
    return bool(sighting.stamp) and str(info.stamp) == sighting.stamp


def _ctime_ns(info: ObjectInfo) -> int | None:
    return None if info.stamp is None else info.stamp.ctime_ns


def _base_version(info: ObjectInfo) -> str:
    """Cut a version down to mtime and size."""
    return ":".join(info.version.split(":")[:3])


def known_version(source: Source, sighting: Sighting) -> Source:
    """Return a file as the version that it had when it was last seen."""
    return _with_version(source, sighting.version, sighting.replacements)


def _with_version(source: Source, version: str, replacements: int) -> Source:
    later = source.info.uploaded_at + timedelta(microseconds=replacements)
    return replace(source, info=replace(source.info, version=version, uploaded_at=later))


async def hash_file(source: Source) -> tuple[Source, ContentDigest]:
    """Hash the bytes of a file that stays as it is meanwhile.

    Returns:
        The file as it looked before and after, and the digests of its bytes.

    Raises:
        SourceChanged: It kept changing.
    """
    for _ in range(HASH_ATTEMPTS):
        info = await source.store.stat(source.info.key)
        digest = ContentDigest(ByteRange(0, info.size_bytes), info.size_bytes, whole=True)
        for start in range(0, info.size_bytes, READ_BLOCK_BYTES):
            end = min(start + READ_BLOCK_BYTES, info.size_bytes)
            data = await source.store.read(info, start, end)
            await asyncio.to_thread(digest.update, data)
        again = await source.store.stat(info.key)
        # Not the inode: some network file systems make one up each time. What replaces a file by
        # a rename has a ctime of its own.
        if (again.version, _ctime_ns(again)) == (info.version, _ctime_ns(info)):
            return replace(source, info=info), digest
    raise SourceChanged("it keeps changing", url=source.info.url)


def now_ns() -> int:
    """Read the clock that stamps files, Unix time."""
    return time.time_ns()
