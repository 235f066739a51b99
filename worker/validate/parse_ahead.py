"""Parse the next records of a file while those before are mapped and written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import Executor

from worker.validate.formats import ReadRecords, Records


async def parse_ahead(
    batches: AsyncGenerator[ReadRecords, None], executor: Executor
) -> AsyncGenerator[Records, None]:
    """Parse batches one after the other, and yield them in order; one is ahead of the consumer.

    The next batch is asked for when the one before is parsed: readers look at what was found.

    Args:
        batches: Calls that parse.
        executor: Threads that parse.
    """
    loop = asyncio.get_running_loop()
    ahead: asyncio.Future[Records] | None = None
    records: Records | None = None
    try:
        async for batch in batches:
            ahead = loop.run_in_executor(executor, batch)
            if records is not None:
                yield records
            records, ahead = await ahead, None
        if records is not None:
            yield records
    finally:
        if ahead is not None:
            await asyncio.gather(ahead, return_exceptions=True)
