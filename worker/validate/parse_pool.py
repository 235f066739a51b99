"""Chunks of a source object parsed in threads, in their order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import Executor
from typing import Any

from kpi.csv.chunk import Chunk
from kpi.validation.parser import ChunkParser
from kpi.validation.rejects import Parsed

CHUNKS_IN_FLIGHT = 4
"""Chunks being parsed or waiting to be encoded: two for each of two cores."""


async def parsed(
    parser: ChunkParser, first: Chunk | None, chunks: AsyncIterator[Chunk], executor: Executor
) -> AsyncGenerator[Parsed, None]:
    """Chunks parsed by the executor, in their order, a bounded number in flight.

    Args:
        parser: Of their source object.
        first: One that comes before the others.
        chunks: The others.
        executor: Threads that parse.

    They are read and cut by a task of their own, so that the threads have work while whoever
    takes the results is busy with one.
    """
    loop = asyncio.get_running_loop()
    slots = asyncio.Semaphore(CHUNKS_IN_FLIGHT)
    running: asyncio.Queue[asyncio.Future[Parsed] | None] = asyncio.Queue()

    async def feed() -> None:
        try:
            if first is not None and (len(first.data) or first.malformed):
                await slots.acquire()
                running.put_nowait(loop.run_in_executor(executor, parser.parse, first))
            await slots.acquire()
            async for chunk in chunks:
                running.put_nowait(loop.run_in_executor(executor, parser.parse, chunk))
                await slots.acquire()
        finally:
            running.put_nowait(None)

    feeder = asyncio.create_task(feed())
    try:
        while (future := await running.get()) is not None:
            yield await future
            slots.release()
        await feeder  # raises what reading raised
    finally:
        feeder.cancel()
        await asyncio.gather(feeder, return_exceptions=True)
        left = []
        while not running.empty():
            if (future := running.get_nowait()) is not None:
                future.cancel()
                left.append(future)
        await asyncio.gather(*left, return_exceptions=True)


class Rising:
    """Whether keys rise strictly from row to row, throughout the chunks of an object."""

    def __init__(self, key: tuple[str, ...]) -> None:
        self._key = key[0]
        self._last: Any = None
        self.throughout = True

    def include(self, parsed: Parsed) -> None:
        if not (parsed.ascending and self.throughout):
            self.throughout = False
            return
        keys = parsed.clean.column(self._key)
        if self._last is not None and not keys[0].as_py() > self._last:
            self.throughout = False
        self._last = keys[-1].as_py()
