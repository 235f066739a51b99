"""Find uploads by what people call them: an id, a path, a part of a name, or a pattern."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from difflib import get_close_matches
from fnmatch import translate

from worker.errors import ConfigError
from worker.state import Entry, Ledger
from worker.state.erasures import read_erasures
from worker.state.paging import entries_in_pages

MAX_COMPARED_NAMES = 10_000
"""Names that a misspelled one is compared with; each takes some 20 microseconds."""

SOURCE_ID = re.compile(r"[0-9a-f]{16}")
"""Form of `Entry.source_id`."""


def has_name(entry: Entry, name: str) -> bool:
    """Return whether a source id, a URL or the end of a URL names an upload."""
    return name in (entry.source_id, entry.url) or entry.url.endswith("/" + name.removeprefix("./"))


async def find_uploads(ledger: Ledger, name: str | None) -> AsyncIterator[list[Entry]]:
    """Find the entries of a name, or all of them, page by page.

    An id is looked up, and has the verdict that stands. A URL or the end of one comes next; where
    no upload has it, `*` and `?` match as in a shell, and any other name is a part of the file's.

    Raises:
        ConfigError: No upload has the name.
        StoreError: The ledger cannot be read, after retries.
    """
    head = await ledger.head()
    if name is None:
        async for entries in _in_effect(ledger, head):
            yield entries
        return
    if SOURCE_ID.fullmatch(name) and (found := await _of_source(ledger, name)):
        yield found
        return
    exact, similar, tails = False, [], Tails(name)
    resembles = _pattern(name)
    async for entries in _in_effect(ledger, head):
        named = [entry for entry in entries if has_name(entry, name)]
        exact = exact or bool(named)
        if named:
            yield named
        if not exact:
            tails.add(entries)
            similar += [entry for entry in entries if resembles.search(_tail(entry, name))]
    if not exact and not similar:
        raise unknown_name(name, tails)
    if not exact:
        yield similar


class Tails:
    """Ends of the URLs of uploads, as many segments as a name has, to find what it may mean."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._found: dict[str, None] = {}

    def add(self, entries: Iterable[Entry]) -> None:
        """Add uploads, the first `MAX_COMPARED_NAMES` of different names."""
        for entry in entries:
            if len(self._found) >= MAX_COMPARED_NAMES:
                return
            self._found[_tail(entry, self._name)] = None

    def nearest(self) -> list[str]:
        """Return the names that differ in a few characters, the nearest first."""
        return get_close_matches(self._name.removeprefix("./"), self._found, n=3, cutoff=0.75)


def unknown_name(name: str, tails: Tails) -> ConfigError:
    """Report that no upload has a name; `tails` are of all uploads."""
    nearest = " or ".join(tails.nearest())
    return ConfigError(
        "no source object in the ledger has this id or name",
        url=name,
        hint=f"did you mean {nearest}?" if nearest else "`shopkpi ledger` lists them",
    )


async def _of_source(ledger: Ledger, source_id: str) -> list[Entry]:
    """Return the entry of a source object that stands, as `_in_effect` does."""
    adoption = await ledger.adoption()
    digest = "" if adoption is None else adoption.digest
    both = await ledger.find(source_id), await ledger.find_staged(source_id, digest)
    found = [entry for entry in both if entry is not None]
    erasures = await read_erasures(ledger)
    return [erasures.effective(one) for one in sorted(found, key=lambda one: one.sequence)]


async def _in_effect(ledger: Ledger, head: int) -> AsyncIterator[list[Entry]]:
    """Yield pages of entries without those that are staged for a contract not in force.

    Entries that were rewritten for an erasure are in the places of the others.
    """
    in_force = await ledger.adoption()
    digest = "" if in_force is None else in_force.digest
    erasures = await read_erasures(ledger)
    async for entries in entries_in_pages(ledger, head):
        found = (erasures.effective(entry) for entry in entries if not entry.erasure)
        yield [entry for entry in found if not entry.staged or entry.contract == digest]


def newest_versions(entries: Iterable[Entry]) -> list[Entry]:
    """Return the last upload of each file, in the order of the ledger.

    Of uploads with the same bytes a repaired one stands for those that were only touched since.
    """
    newest: dict[str, Entry] = {}
    for entry in entries:
        other = newest.get(entry.url)
        if (
            other is None
            or (_age(other) <= _age(entry) and not _is_repaired(other, entry))
            or _is_repaired(entry, other)
        ):
            newest[entry.url] = entry
    return sorted(newest.values(), key=lambda entry: entry.sequence)


def _is_repaired(entry: Entry, other: Entry) -> bool:
    """Return whether an entry has the bytes of another one, and was repaired since."""
    same = entry.content_id is not None and entry.content_id == other.content_id
    return same and entry.repair is not None and other.repair is None


def _age(entry: Entry) -> tuple[object, int]:
    return entry.uploaded_at, entry.sequence


def _pattern(name: str) -> re.Pattern[str]:
    """Compile a pattern with wildcards, or a part of a name, for the end of a URL."""
    plain = name.removeprefix("./")
    if any(one in plain for one in "*?"):
        return re.compile(f"^{translate(plain)}")
    return re.compile(re.escape(plain), re.IGNORECASE)


def _tail(entry: Entry, name: str) -> str:
    """Return as many segments of a URL, from its end, as a name has."""
    segments = name.removeprefix("./").count("/") + 1
    return "/".join(entry.url.split("/")[-segments:])
