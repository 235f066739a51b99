"""Close a batch: move its files away, and delete their messages, once the KPIs have them.

A message is deleted only where the ledger has the entry of its file, and every KPI table was
published at that sequence or a later one. All other messages stay, and come back.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from worker.batches.record import Batch, Result
from worker.batches.validation import OpenStore
from worker.errors import SourceError, SourceMissing, SourcesLeft, StoreError
from worker.maintenance.archive import archive
from worker.objects import ObjectStore
from worker.objects.location import Location
from worker.reporting.reporters import JsonReporter
from worker.runtime.concurrency import each
from worker.service.upload_queue import UploadQueue, kept_invisible
from worker.state import State
from worker.transform.reached import reached_sequence

MOVES_AT_ONCE = 16
"""Objects that are moved concurrently."""


async def close_batch(
    state: State,
    queue: UploadQueue,
    batch: Batch,
    *,
    tables: Collection[str],
    open_store: OpenStore,
    to: tuple[ObjectStore, Location],
    reporter: JsonReporter,
) -> int:
    """Move the files of a batch to `archive/` or `quarantine/`, and delete their messages.

    Args:
        state: Ledger, and how far the KPI tables have come.
        queue: The queue that the messages are from.
        batch: A batch that was validated.
        tables: KPI tables beside those that the ledger has adopted.
        open_store: Returns the store of an upload.
        to: Store and place of the archive.
        reporter: Hears of each file that was moved.

    Returns:
        Number of files whose messages are deleted.

    Raises:
        SourcesLeft: Some could not be moved; the messages of all others are deleted.
        StoreError: The ledger or the queue failed, after retries.
    """
    results = await batch.results()
    done = await _covered(state, tables, results)
    left: dict[str, Exception] = {}

    async def close(result: Result) -> int:
        place = Location(bucket=result.bucket, key=result.key)
        try:
            entry, key = await archive(
                await open_store(place),
                place,
                version_id=result.version_id,
                ledger=state,
                store=to[0],
                to=to[1],
            )
            reporter.emit("source.moved", source_id=entry.source_id, url=entry.url, key=key)
        except SourceMissing as error:
            # Somebody deleted it meanwhile: the KPIs have it, and nothing is left to move.
            reporter.unlisted(result.url, error)
        except (SourceError, StoreError) as error:
            left[result.url] = error
            return 0
        await queue.delete(batch.receipts_of([result]))
        return 1

    limits = await queue.limits()
    async with kept_invisible(queue, batch.receipts_of(done), limits, reporter.emit):
        closed = sum(await each(done, close, MOVES_AT_ONCE))
    waiting = sum(bool(one.sequence) for one in results) - len(done)
    reporter.emit("batch.closed", batch=batch.place.url, files=closed, not_published=waiting)
    if left:
        raise SourcesLeft(left, of=len(done))
    return closed


async def _covered(
    state: State, tables: Collection[str], results: Sequence[Result]
) -> list[Result]:
    """Return the results whose entries are in the ledger, and in every KPI table."""
    adoption = await state.adoption()
    every = frozenset(tables) | frozenset(adoption.tables if adoption else ())
    published = reached_sequence(every, await state.progress())
    with_entry = [one for one in results if one.sequence]
    committed = await state.pointers([one.source_id for one in with_entry])
    return [
        one
        for one in with_entry
        if one.source_id in committed and (one.verdict == "refused" or one.sequence <= published)
    ]
