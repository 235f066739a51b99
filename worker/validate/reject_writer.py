"""The rejects of one source object, on their way to the object that holds them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from contextlib import AsyncExitStack, asynccontextmanager

import pyarrow as pa
import pyarrow.compute as pc

from kpi.validation.rejects import PARSED_REJECTS, REJECTS, written_out
from worker.clean import Workspace
from worker.clean.writer import ParquetStream, parquet_stream

HELD_ROWS, HELD_BYTES = 10_000, 4 * 2**20
"""So many rejects, or bytes of them, are written together: a row group of a few costs as much time
as one of thousands."""


class Aside:
    """Writes rejects; their object appears only if there are any.

    Attributes:
        key: Of that object, relative to the workspace; None where there is none.
    """

    def __init__(
        self, workspace: Workspace, key: str, executor: Executor | None, stack: AsyncExitStack
    ) -> None:
        self._workspace = workspace
        self._key = key
        self._executor = executor
        self._stack = stack
        self._stream: ParquetStream | None = None
        self._held: list[pa.Table] = []
        self._held_rows = self._held_bytes = 0
        self.key: str | None = None

    async def write(self, rejects: pa.Table, records_before: int) -> None:
        """Append rejects of a chunk.

        Args:
            rejects: Rows of `PARSED_REJECTS`, their `row` counted from 0 within the chunk.
            records_before: Records of the object that precede the chunk.
        """
        if not rejects.num_rows:
            return
        # Rows as a spreadsheet counts them: the header is row 1.
        rows = pc.add(rejects.column("row"), records_before + 2)
        self._held.append(rejects.set_column(0, PARSED_REJECTS.field("row"), rows))
        self._held_rows += rejects.num_rows
        self._held_bytes += rejects.nbytes
        if self._held_rows >= HELD_ROWS or self._held_bytes >= HELD_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Write what is held."""
        if not self._held:
            return
        if self._stream is None:
            absolute = self._workspace.absolute(self._key)
            opened = parquet_stream(
                self._workspace.store, absolute, REJECTS, executor=self._executor
            )
            self._stream = await self._stack.enter_async_context(opened)
            self.key = self._key
        held, self._held = self._held, []
        self._held_rows = self._held_bytes = 0
        loop, together = asyncio.get_running_loop(), pa.concat_tables(held)
        # With their reasons written out they take the most memory: not all of a chunk at once.
        for at in range(0, together.num_rows, 2 * HELD_ROWS):
            some = together.slice(at, 2 * HELD_ROWS)
            await self._stream.write(await loop.run_in_executor(self._executor, written_out, some))


@asynccontextmanager
async def set_aside(
    workspace: Workspace, key: str, executor: Executor | None = None
) -> AsyncIterator[Aside]:
    """Rejects of one source object; theirs appears when the block ends, never where it raises.

    Args:
        workspace: Where it lies.
        key: Its key there.
        executor: See `parquet_stream`.
    """
    async with AsyncExitStack() as stack:
        aside = Aside(workspace, key, executor, stack)
        yield aside
        await aside.flush()
