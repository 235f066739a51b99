"""Say which deletions of customers an earlier sequence is answered without."""

from __future__ import annotations

from datetime import date

from worker.runtime.wording import counted
from worker.state import Ledger
from worker.transform.day_ranges import DateRange


async def deletions_after(ledger: Ledger, sequence: int, date_range: DateRange) -> list[str]:
    """Return a line for each deletion after a sequence that took rows of some days.

    Deleted rows are gone for every sequence, also for those before.

    Raises:
        StoreError: The ledger cannot be read, after retries.
    """
    first, last = date_range.first or date.min, date_range.last or date.max
    lines = []
    for one in await ledger.erasures():
        days = [day for day in one.days if first <= date.fromisoformat(day) <= last]
        if one.mode == "delete" and one.sequence > sequence and days:
            lines.append(
                f"a customer was deleted at {one.sequence}: {counted(len(days), 'day')} as of "
                f"{sequence} without the rows that this took"
            )
    return lines
