"""Recognise a folder that was moved or copied as a whole, by the names of the files in it.

A file at another path is another file: two tills may sell the same. But where a whole folder comes
back at another place (renamed, restored from a backup, on another machine), its files are those
that the ledger knows. Otherwise their new times would let old exports take corrections back.

A folder none of whose files the ledger has is compared with each place that has files of the same
names. It was moved from there where most of these have the same bytes, and are several; of one file
alone, where it is gone from its former place. Files with other bytes are other files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence

from worker.errors import SourceError
from worker.objects.location import Location
from worker.objects.source import Source
from worker.state import Entry
from worker.state.paging import entries_in_pages
from worker.validate.content_digest import content_of_parts
from worker.validate.context import ValidationContext
from worker.validate.file_versions import hash_file

CHECKPOINT_RECORDS = 128
"""Records below which no ledger has a checkpoint, by the limits of transforms."""

Names = Mapping[str, Source]
"""Name of a file below its folder -> the file."""


async def find_moved(
    sources: Iterable[Source],
    places: Sequence[Location],
    seen: Collection[str],
    context: ValidationContext,
) -> dict[str, Entry]:
    """Find the entries of files whose folder was moved.

    Args:
        sources: Files that are to be validated.
        places: Folders that they were found in.
        seen: Ids of the files that the ledger has seen where they are.
        context: Ledger and contract in force.

    Returns:
        URL of a file -> entry of the file that it was, the last one of its name.

    Raises:
        StoreError: The ledger cannot be read, after retries.
    """
    folders = {
        place.url.rstrip("/"): names
        for place in places
        if not place.bucket and (names := _names_below(place, sources))
    }
    folders = {
        folder: names
        for folder, names in folders.items()
        # Of a folder that was not moved some are, in all runs but the first.
        if not any(source.source_id in seen for source in names.values())
    }
    head = await context.ledger.head() if folders else 0
    if not head:
        return {}
    # Former folder -> name -> entry, for each folder.
    former: dict[str, dict[str, dict[str, Entry]]] = {one: defaultdict(dict) for one in folders}
    every = {name for names in folders.values() for name in names}
    async for entries in _entries_named(every, head, context):
        for entry in entries:
            if entry.verdict == "accepted" and not entry.erasure and context.serves(entry):
                _add(context.erasures.effective(entry), folders, former)
    moved: dict[str, Entry] = {}
    for folder, names in folders.items():
        if folder not in former[folder]:  # else the ledger knows some of its files
            moved |= await _moved_into(names, former[folder], context)
    return moved


def _entries_named(
    names: Collection[str], head: int, context: ValidationContext
) -> AsyncIterator[list[Entry]]:
    """Yield entries whose URLs end with a name, and maybe others."""
    if context.in_force is None or head < CHECKPOINT_RECORDS:
        return entries_in_pages(context.ledger, head)
    from worker.index.named_entries import entries_named  # noqa: PLC0415  (Arrow, 0.3 s)

    return entries_named(context.workspace, context.ledger, context.in_force, head, names)


def _names_below(place: Location, sources: Iterable[Source]) -> dict[str, Source]:
    prefix = place.url.rstrip("/") + "/"
    return {
        source.info.url[len(prefix) :]: source
        for source in sources
        if source.info.stamp is not None and source.info.url.startswith(prefix)
    }


def _add(
    entry: Entry,
    folders: Mapping[str, Names],
    former: Mapping[str, dict[str, dict[str, Entry]]],
) -> None:
    """Add an entry to each former place of a folder that has a file of its name."""
    segments = entry.url.split("/")
    for first in range(1, len(segments)):
        name = "/".join(segments[first:])
        for folder, names in folders.items():
            if name in names:
                place = "/".join(segments[:first])
                known = former[folder][place].get(name)
                if known is None or _age(known) <= _age(entry):
                    former[folder][place][name] = entry


def _age(entry: Entry) -> tuple[object, int]:
    return entry.uploaded_at, entry.sequence


async def _moved_into(
    names: Names, former: Mapping[str, Mapping[str, Entry]], context: ValidationContext
) -> dict[str, Entry]:
    """Find the place that a folder was moved from: the latest of those that have most of it."""
    contents: dict[str, str] = {}
    best: dict[str, Entry] = {}
    for entries in former.values():
        equal = {
            names[name].info.url: entry
            for name, entry in entries.items()
            if await _is_equal(names[name], entry, contents, context)
        }
        if 2 * len(equal) <= len(entries) or (len(equal), _last(equal)) <= (
            len(best),
            _last(best),
        ):
            continue
        if len(entries) > 1 or await _is_gone(next(iter(entries.values())), names):
            best = equal
    return best


def _last(entries: Mapping[str, Entry]) -> int:
    return max((entry.sequence for entry in entries.values()), default=0)


async def _is_equal(
    source: Source, entry: Entry, contents: dict[str, str], context: ValidationContext
) -> bool:
    """Compare a file with an entry; its content is kept, since several places may have it."""
    same_size = entry.size_bytes == source.info.size_bytes
    # A file from which a customer was erased has another size than its entry.
    if entry.content_id is None or not (same_size or context.erasures.records):
        return False
    if context.contract.shop is None:
        if entry.dataset != source.dataset:
            return False
    elif not _has_same_parts(source.info.url, entry.url, context):
        return False
    url = source.info.url
    if url not in contents:
        try:
            _, digest = await hash_file(source)
        except SourceError:  # its validation says what is wrong
            return False
        contents[url] = await context.known_content(content_of_parts(digest.parts or ""))
    return contents[url] == entry.content_id


def _has_same_parts(url: str, former: str, context: ValidationContext) -> bool:
    """Return whether the patterns of a contract take the same texts from both paths."""
    shop = context.contract.shop
    if shop is None:
        return True
    return all(one.match.match(url) == one.match.match(former) for one in shop.files)


async def _is_gone(entry: Entry, names: Names) -> bool:
    """Return whether the file of an entry is no longer at its former place."""
    store = next(iter(names.values())).store
    try:
        await store.stat(entry.url.removeprefix("file:///"))
    except SourceError:
        return True
    return False
