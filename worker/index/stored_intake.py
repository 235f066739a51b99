"""Read and write the counters of what came, and bring them to the ledger's head."""

from __future__ import annotations

from worker.clean import Workspace
from worker.errors import SourceError, StoreError
from worker.index.intake import Intake
from worker.index.stored import read_manifest
from worker.state import Ledger
from worker.state.paging import records_in_pages
from worker.state.same_ledger import identify_ledger

OBJECT_NAME = "intake.json"
"""Name of the object in the folder of the index."""

STRIDE_RECORDS = 20_000
"""Records that are counted at once, some 40 MB of receipts: a ledger of a release before that had
no counters is counted in several strides."""


async def read_intake(workspace: Workspace, ledger: Ledger, head: int) -> Intake:
    """Read the counters; those of an empty ledger where there are none that fit.

    Raises:
        StoreError: A store fails after retries.
    """
    key = workspace.index(OBJECT_NAME)
    found = await read_manifest(workspace, key, Intake.from_json)
    if found is None or not 0 < found.up_to <= head:
        return Intake()
    if found.ledger != await identify_ledger(ledger, found.up_to):
        return Intake()  # of a ledger that was put back
    return found


async def count_on(
    intake: Intake, ledger: Ledger, head: int, most_records: int = STRIDE_RECORDS
) -> Intake:
    """Count the records that follow, up to the head or so many; return the same counters.

    Raises:
        StoreError: The ledger cannot be read, after retries.
    """
    last = min(head, intake.up_to + most_records)
    async for page in records_in_pages(ledger, last, intake.up_to):
        intake.add(page)
    intake.up_to = max(intake.up_to, last)  # the last sequence may be one that nobody took
    return intake


async def keep_intake(
    workspace: Workspace,
    ledger: Ledger,
    head: int,
    *,
    tail_records: int,
    most_records: int = STRIDE_RECORDS,
) -> bool:
    """Write the counters where many records follow on them; nothing that fails matters.

    Args:
        workspace: Where they are.
        ledger: Its ledger.
        head: Ledger sequence that they are brought to.
        tail_records: Records from which on they are written.
        most_records: Records that are read at most.

    Returns:
        Whether they were written.
    """
    try:
        intake = await read_intake(workspace, ledger, head)
        if head - intake.up_to < tail_records:
            return False
        await count_on(intake, ledger, head, most_records)
        intake.ledger = await identify_ledger(ledger, intake.up_to)
        key = workspace.absolute(workspace.index(OBJECT_NAME))
        async with workspace.store.create(key) as writer:
            await writer.write(intake.to_json())
    except (SourceError, StoreError):
        return False  # the next transform tries again
    return True
