"""Find the sources of a large folder that the ledger knows, without a look-up for each.

A folder with years of small files is validated again each night. Of a file that looks as when its
bytes were last known, and that was accepted under the contract in force, nothing more is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from worker.objects.source import Source
from worker.state import Entry, Sighting
from worker.validate.context import ValidationContext
from worker.validate.file_versions import is_seen, known_version

FEW_SOURCES = 100
"""Sources up to which each is looked up by itself."""

NAMED_SOURCES = 100
"""Known sources whose receipts are read; the others are counted."""


@dataclass(frozen=True, kw_only=True)
class KnownSources:
    """Sources that the ledger has accepted under the contract in force.

    Attributes:
        entries: The first of them, with their entries.
        others: The others.
    """

    entries: Mapping[Source, Entry] = field(default_factory=dict)
    others: frozenset[Source] = frozenset()


async def find_known(
    sources: Sequence[Source], sightings: Mapping[str, Sighting], context: ValidationContext
) -> KnownSources:
    """Find sources that need no validation; those that are not found may need none either.

    Args:
        sources: Sources to look up; of few, none is found.
        sightings: How files were last seen.
        context: Ledger and contract in force.

    Raises:
        StoreError: The ledger cannot be read, after retries.
    """
    if len(sources) <= FEW_SOURCES:
        return KnownSources()
    ids: dict[Source, str] = {}
    for source in sources:
        key = source.source_id
        if source.info.stamp is None:
            ids[source] = key
        elif (sighting := sightings.get(key)) is not None and is_seen(source.info, sighting):
            is_first = sighting.version == source.info.version
            ids[source] = key if is_first else known_version(source, sighting).source_id
    accepted = await _accepted([*ids.values()], context)
    known = [source for source, one in ids.items() if one in accepted]
    named = known[:NAMED_SOURCES]
    found = await context.ledger.entries_at([accepted[ids[source]] for source in named])
    by_id = {entry.source_id: context.erasures.effective(entry) for entry in found}
    return KnownSources(
        entries={one: by_id[ids[one]] for one in named if ids[one] in by_id},
        others=frozenset(known[NAMED_SOURCES:]),
    )


async def _accepted(source_ids: Sequence[str], context: ValidationContext) -> dict[str, int]:
    """Return the sequences of accepted entries that stand under the contract in force."""
    pointers = await context.ledger.pointers(source_ids)
    in_force = context.in_force
    is_only = in_force is None or not in_force.other_rows
    # A commit compares its contract with the one in force, in its transaction: what follows on the
    # adoption is of that contract. What came before it may be of another one.
    since = 0 if in_force is None or is_only else in_force.since
    found = {
        source_id: pointer.sequence
        for source_id, pointer in pointers.items()
        if pointer.accepted and pointer.sequence > since
    }
    for digest in sorted(in_force.same_rows) if in_force is not None and not is_only else ():
        earlier = [one for one, pointer in pointers.items() if pointer.sequence <= since]
        staged = await context.ledger.pointers(earlier, staged_for=digest)
        found |= {one: pointer.sequence for one, pointer in staged.items() if pointer.accepted}
    return found
