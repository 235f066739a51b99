"""Validate the raw object of a ledger entry again, with what a person has corrected in it."""

from __future__ import annotations

from dataclasses import replace

from worker.clean import Workspace
from worker.clean.corrections import corrected_source
from worker.clean.rejects import read_rejects
from worker.errors import SourceChanged
from worker.objects.corrections import Corrections
from worker.objects.source import Source
from worker.state import Entry
from worker.validate.context import ValidationContext
from worker.validate.validate_source import validate_uncommitted


async def validate_again(source: Source, earlier: Entry, context: ValidationContext) -> Entry:
    """Validate the raw object of an entry, and return an entry to commit.

    Args:
        source: The raw object.
        earlier: Its entry; the rows that were repaired in it are repaired again.
        context: Contract and stores.

    Raises:
        SourceChanged: It holds other bytes than the entry says.
        SourceError: It cannot be read.
        StoreError: Results cannot be written.
    """
    corrected = await corrected_source(source, earlier, context.workspace)
    entry = await validate_uncommitted(corrected, context)
    entry = await context.with_known_content(entry)
    if None not in (earlier.content_id, entry.content_id):
        _check_content(earlier, entry)
    # What identifies the bytes is known, though a refused file may not be read to its end.
    entry = replace(
        entry,
        sha256=earlier.sha256,
        content=earlier.content,
        continues=earlier.continues,
        moved_from=earlier.moved_from,
    )
    if earlier.repair is None or corrected.corrections is None:
        return entry
    still = await rejected_again(entry, corrected.corrections, context.workspace)
    rows = len(corrected.corrections.records) - len(still)
    return replace(entry, repair=replace(earlier.repair, rows=rows))


async def rejected_again(
    entry: Entry, corrections: Corrections, workspace: Workspace
) -> dict[int, tuple[str, ...]]:
    """Return the corrected rows that are rejected all the same: row -> its reasons.

    Raises:
        SourceError, StoreError: The rejects cannot be read.
    """
    rows = corrections.rows
    rejects = read_rejects(entry, workspace)
    return {one.row: one.reasons async for one in rejects if one.row in rows}


def _check_content(earlier: Entry, entry: Entry) -> None:
    if earlier.content_id != entry.content_id:
        raise SourceChanged(
            "it holds other bytes than the ledger knows",
            url=entry.url,
            expected=earlier.content_id,
            actual=entry.content_id,
        )
