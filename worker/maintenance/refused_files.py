"""Validate refused files once another contract is in force: a verdict belongs to a contract.

A file that is in an input folder is validated by the next run. One that was moved to the quarantine
zone comes in no run, and on S3 no event comes again. So the adoption looks for their raw objects.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from worker.errors import SourceError
from worker.maintenance.raw_objects import RawObjects
from worker.objects.source import Source
from worker.runtime.concurrency import each
from worker.runtime.memory_budget import SMALL_SOURCE_BYTES, SMALL_SOURCES_AT_ONCE
from worker.state import Entry, Ledger
from worker.state.paging import entries_in_pages
from worker.validate.context import ValidationContext
from worker.validate.discovery import feeds


async def find_refused(ledger: Ledger, contract: str) -> list[Entry]:
    """Return the last entries of sources that other contracts refused, in the ledger's order.

    Args:
        ledger: All of its entries are read.
        contract: Digest of the contract that is to validate them.

    Raises:
        StoreError: The ledger cannot be read, after retries.
    """
    last: dict[str, Entry] = {}
    async for entries in entries_in_pages(ledger, await ledger.head()):
        for entry in entries:
            if not entry.staged:
                last.pop(entry.source_id, None)
                last[entry.source_id] = entry
    return [one for one in last.values() if one.verdict == "refused" and one.contract != contract]


async def validate_refused(
    entries: Sequence[Entry],
    raw: RawObjects,
    context: ValidationContext,
    validate: Callable[[Source, ValidationContext], Awaitable[Entry]],
) -> list[Entry]:
    """Validate refused files whose raw objects can be found.

    Args:
        entries: Their entries.
        raw: Finds raw objects.
        context: The contract that validates them.
        validate: Validates one.

    Returns:
        What `validate` returned.

    Raises:
        SourceError: Some cannot be read; the others have been validated.
        StoreError: A store fails, after retries.
    """
    done: list[Entry] = []
    failed: list[SourceError] = []

    async def one(entry: Entry) -> None:
        try:
            source = await raw.find(entry)
            if source is not None:
                named = replace(source, dataset=_dataset(entry, source, context))
                done.append(await validate(named, context))
        except SourceError as error:
            failed.append(error)

    await each(
        (one for one in entries if one.size_bytes <= SMALL_SOURCE_BYTES), one, SMALL_SOURCES_AT_ONCE
    )
    for entry in entries:
        if entry.size_bytes > SMALL_SOURCE_BYTES:
            await one(entry)
    if failed:
        raise failed[0]
    return done


def _dataset(entry: Entry, source: Source, context: ValidationContext) -> str:
    """Name the dataset by the contract; one that was named by hand keeps its name."""
    if context.contract.shop is not None:
        return feeds(source.info.key, context.contract.shop)
    known = entry.dataset in context.contract.datasets
    return entry.dataset if known else context.contract.dataset_of(source.info.key) or entry.dataset
