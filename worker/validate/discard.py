"""Delete what was made of a source object when a customer was erased meanwhile."""

from __future__ import annotations

from worker.state import Entry
from worker.validate.context import ValidationContext


async def discard(entry: Entry, context: ValidationContext) -> None:
    """Delete the objects of an entry that was not committed, unless another entry names them.

    They may have the customer's rows, and no worker can commit them any more.

    Args:
        entry: The entry.
        context: As it was when they were made.

    Raises:
        StoreError: A store fails, after retries.
    """
    current = await context.with_erasures()
    known = [
        await context.ledger.find(entry.source_id),
        await context.ledger.find_staged(entry.source_id, entry.contract),
    ]
    effective = [current.erasures.effective(one) for one in known if one is not None]
    named = {key for one in effective for key in one.keys}
    for key in entry.keys:
        # A file that was touched has the objects of an earlier version.
        if key not in named and key.rpartition("/")[2].startswith(entry.source_id):
            await context.workspace.store.delete(context.workspace.stored(key))
