"""Whether ledger, KPI tables and workspace are of one history.

Where the mark of a place is ahead of the ledger, or the ledger has other records at its sequence,
the ledger was put back to an earlier time. Where the mark of a KPI table is behind what the ledger
has published, the table was.
"""

from __future__ import annotations

import hashlib

from worker.errors import StateRestored
from worker.state import Ledger, State
from worker.state.marks import Mark

COMPARED_RECORDS = 32
"""Last records that are compared: a ledger that was put back, and has gone on since, has others."""

REBUILD = "`shopkpi maintain --rebuild`"

HINT_OF_EARLIER = f"put the later one back, or take this one as it is with {REBUILD}"


async def identify_ledger(ledger: Ledger, up_to: int) -> str:
    """Identify a ledger up to a sequence by its last records.

    Raises:
        StoreError: The ledger cannot be read.
    """
    found = hashlib.sha256(str(up_to).encode())
    for record in await ledger.records(after=max(up_to - COMPARED_RECORDS, 0), up_to=up_to):
        found.update(record.to_json())
    return found.hexdigest()


async def check_mark(ledger: Ledger, place: str, mark: Mark) -> None:
    """Check that a ledger is the one that a place has seen, or a later state of it.

    Args:
        ledger: The ledger.
        place: Names the place in messages.
        mark: Its mark, read before.

    Raises:
        StateRestored: It is not.
        StoreError: The ledger cannot be read.
    """
    seen = max(mark.begun, mark.whole)
    head = await ledger.head()
    if not head and seen:
        raise lost_ledger(seen, place)
    if head < seen:
        raise StateRestored(
            "the ledger was put back to an earlier time",
            expected=f"records up to sequence {seen}, which {place} has seen",
            actual=f"records up to {head}",
            hint=HINT_OF_EARLIER,
        )
    if mark.begun and await identify_ledger(ledger, mark.begun) != mark.ledger:
        raise StateRestored(
            "the ledger was put back to an earlier time, and has gone on",
            expected=f"the records up to sequence {mark.begun} that {place} has seen",
            actual="others",
            hint=HINT_OF_EARLIER,
        )


async def check_tables(state: State) -> int:
    """Check that ledger and KPI tables are of one history.

    Returns:
        Ledger sequence that some KPI table has come to.

    Raises:
        StateRestored: One of them was put back to an earlier time.
        StoreError: The state cannot be read.
    """
    found = await state.marks()
    # Mostly all tables have one mark.
    for mark, name in {mark: name for name, mark in found.tables.items()}.items():
        await check_mark(state, f"the KPI table {name}", mark)
    for name, sequence in found.published.items():
        whole = found.tables[name].whole if name in found.tables else 0
        if whole < sequence:
            raise StateRestored(
                f"the KPI table {name} was put back to an earlier time",
                expected=f"KPIs as of {sequence}, which the ledger has published",
                actual=f"KPIs as of {whole}" if whole else "no mark of any publication",
                hint=f"{REBUILD} publishes every day again",
            )
    published = found.published or (await state.progress()).published
    return max(published.values(), default=0)


def lost_ledger(seen: int, place: str) -> StateRestored:
    """Return the error of a ledger that is gone."""
    return StateRestored(
        "the ledger is lost",
        expected=f"records up to sequence {seen}, which {place} has seen",
        actual="none",
        hint="put a copy of it back, or make a new one from the raw files: "
        "`shopkpi maintain --rebuild INPUT...`",
    )
