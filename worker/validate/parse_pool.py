"""Parse the chunks of a source object in threads, keeping their order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import Executor
from typing import Any, Protocol

from kpi.csv.chunk import Chunk
from kpi.validation.rejects import ParsedChunk
from worker.runtime.memory_budget import CHUNKS_IN_FLIGHT


class Parser(Protocol):
    """Parses the chunks of one source object, in several threads."""

    def parse(self, chunk: Chunk, /) -> ParsedChunk:
        """Parse a chunk."""


async def parse_in_order(
    parser: Parser, first: Chunk | None, chunks: AsyncIterator[Chunk], executor: Executor
) -> AsyncGenerator[ParsedChunk, None]:
    """Parse chunks concurrently and yield the results in order; at most `CHUNKS_IN_FLIGHT`.

    A task of its own reads and submits chunks, so that the threads have work while the consumer
    handles a result.

    Args:
        parser: Parser of the source object.
        first: Chunk that precedes `chunks`; None where there is none.
        chunks: The other chunks.
        executor: Threads that parse.
    """
    loop = asyncio.get_running_loop()
    slots = asyncio.Semaphore(CHUNKS_IN_FLIGHT)
    running: asyncio.Queue[asyncio.Future[ParsedChunk] | None] = asyncio.Queue()

    async def submit_chunks() -> None:
        try:
            if first is not None and (first.size or first.malformed):
                await slots.acquire()
                running.put_nowait(loop.run_in_executor(executor, parser.parse, first))
            await slots.acquire()
            async for chunk in chunks:
                running.put_nowait(loop.run_in_executor(executor, parser.parse, chunk))
                await slots.acquire()
        finally:
            running.put_nowait(None)

    submitter = asyncio.create_task(submit_chunks())
    try:
        while (future := await running.get()) is not None:
            yield await future
            slots.release()
        await submitter  # raises what reading raised
    finally:
        submitter.cancel()
        await asyncio.gather(submitter, return_exceptions=True)
        unfinished = []
        while not running.empty():
            if (future := running.get_nowait()) is not None:
                future.cancel()
                unfinished.append(future)
        await asyncio.gather(*unfinished, return_exceptions=True)


class KeyOrder:
    """Tracks whether keys increase strictly from row to row, across the chunks of an object.

    Attributes:
        is_strictly_increasing: So far; False for good once it was not.
    """

    def __init__(self, key: tuple[str, ...]) -> None:
        self._column = key[0]
        self._last: Any = None
        self.is_strictly_increasing = True

    def include(self, parsed: ParsedChunk) -> None:
        """Add the next chunk, which has at least one clean row."""
        if not (parsed.is_key_increasing and self.is_strictly_increasing):
            self.is_strictly_increasing = False
            return
        keys = parsed.clean.column(self._column)
        if self._last is not None and not keys[0].as_py() > self._last:
            self.is_strictly_increasing = False
        self._last = keys[-1].as_py()
