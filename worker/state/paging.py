"""Read the ledger in pages, so that a reader of all entries holds few of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from worker.state import Entry, Ledger, Record

PAGE_ENTRIES = 500
"""Entries of one page: about 1 MiB."""


async def records_in_pages(
    ledger: Ledger, head: int, since: int = 0
) -> AsyncIterator[list[Record]]:
    """Yield the records after one sequence, up to another, in pages; as `entries_in_pages`."""
    for after in range(since, head, PAGE_ENTRIES):
        yield await ledger.records(after=after, up_to=min(after + PAGE_ENTRIES, head))


async def entries_in_pages(ledger: Ledger, head: int) -> AsyncIterator[list[Entry]]:
    """Yield the entries up to a sequence in pages, ascending.

    Raises:
        StoreError: The ledger cannot be read, after retries.
    """
    for after in range(0, head, PAGE_ENTRIES):
        yield await ledger.entries(after=after, up_to=min(after + PAGE_ENTRIES, head))
