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
        others: Number of the others.
        unknown: Sources that are none of these, in their order.
    """

    entries: Mapping[Source, Entry] = field(default_factory=dict)
    others: int = 0
    unknown: Sequence[Source] = ()


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
        return KnownSources(unknown=sources)
    ids = [_seen_id(source, sightings) for source in sources]
    accepted = await _accepted([one for one in ids if one], context)
    known = [(source, one) for source, one in zip(sources, ids, strict=True) if one in accepted]
    named = known[:NAMED_SOURCES]
    found = await context.ledger.entries_at([accepted[one] for _, one in named])
    by_id = {entry.source_id: context.erasures.effective(entry) for entry in found}
    return KnownSources(
        entries={source: by_id[one] for source, one in named},
        others=len(known) - len(named),
        unknown=[source for source, one in zip(sources, ids, strict=True) if one not in accepted],
    )


def _seen_id(source: Source, sightings: Mapping[str, Sighting]) -> str:
    """Return the id of a source; empty for a file that looks otherwise than when it was seen."""
    if source.info.stamp is None:
        return source.source_id
    sighting = sightings.get(source.source_id)
    if sighting is None or not is_seen(source.info, sighting):
        return ""
    if sighting.version == source.info.version:
        return source.source_id
    return known_version(source, sighting).source_id


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
