"""The ledger, some entries at a time: whoever looks at all of them holds few."""

from __future__ import annotations

from collections.abc import AsyncIterator

from worker.state import Entry, Ledger

ENTRIES_AT_ONCE = 500


async def entries_in_pages(ledger: Ledger, head: int) -> AsyncIterator[list[Entry]]:
    """The entries up to a sequence, ascending. Errors: as `Ledger.entries`."""
    for after in range(0, head, ENTRIES_AT_ONCE):
        yield await ledger.entries(after=after, up_to=min(after + ENTRIES_AT_ONCE, head))
