"""Write the rejects of one source object to their Parquet object."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.kernels.fixed_point import run_starts
from kpi.validation.rejects import PARSED_REJECTS, REJECTS, expand_reasons
from worker.clean import Workspace
from worker.clean.writer import ParquetStream, parquet_stream
from worker.objects.corrections import Corrections


@dataclass(frozen=True)
class RejectBatch:
    """How many rejects are held before they become a row group, whichever is reached first.

    A row group of a few rows takes as much time to write as one of thousands.
    """

    rows: int = 10_000
    size_bytes: int = 4 * 2**20


class RejectWriter:
    """Appends rejects to an object that appears only if there are any.

    Attributes:
        key: Key of the object below the workspace; None while there is none.
    """

    def __init__(
        self,
        workspace: Workspace,
        key: str,
        executor: Executor | None,
        stack: AsyncExitStack,
        batch: RejectBatch,
        corrections: Corrections | None,
    ) -> None:
        self._workspace = workspace
        self._key = key
        self._executor = executor
        self._stack = stack
        self._batch = batch
        self._corrections = corrections
        self._stream: ParquetStream | None = None
        self._held: list[pa.Table] = []
        self._held_rows = self._held_bytes = 0
        self.key: str | None = None

    async def write(self, rejects: pa.Table, records_before: int) -> None:
        """Append the rejects of a chunk.

        Args:
            rejects: Rows of `PARSED_REJECTS`, their `row` counted from 0 within the chunk.
            records_before: Records of the object that precede the chunk.
        """
        if not rejects.num_rows:
            return
        # Rows as a spreadsheet counts them: the header is row 1.
        rows = pc.add(rejects.column("row"), records_before + 2)
        rejects = rejects.set_column(0, PARSED_REJECTS.field("row"), rows)
        if self._corrections is not None:
            read_at = rejects.column("byte_offset").to_pylist()
            offsets = pa.array(self._corrections.original_offsets(read_at), pa.int64())
            rejects = rejects.set_column(1, PARSED_REJECTS.field("byte_offset"), offsets)
        self._held.append(rejects)
        self._held_rows += rejects.num_rows
        self._held_bytes += rejects.nbytes
        if self._held_rows >= self._batch.rows or self._held_bytes >= self._batch.size_bytes:
            await self.flush()

    async def flush(self) -> None:
        """Write what is held as row groups."""
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
        loop, rejects = asyncio.get_running_loop(), pa.concat_tables(held)
        for start, end in self._row_groups(rejects):
            group = rejects.slice(start, end - start)
            await self._stream.write(
                await loop.run_in_executor(self._executor, expand_reasons, group)
            )

    def _row_groups(self, rejects: pa.Table) -> Iterator[tuple[int, int]]:
        """Divide rejects, so that a group takes bounded memory with its reasons written out."""
        # A row takes its raw bytes, and the mean of its chunk for reasons.
        sizes = np.concatenate(
            [
                np.full(len(chunk), chunk.dictionary.nbytes / max(len(chunk.dictionary), 1))
                for chunk in rejects.column("reasons").chunks
            ]
        )
        sizes += pc.binary_length(rejects.column("raw")).to_numpy()
        rows_before = np.arange(len(sizes)) // (2 * self._batch.rows)
        bytes_before = (np.cumsum(sizes) // (4 * self._batch.size_bytes)).astype(np.int64)
        starts = np.flatnonzero(run_starts(rows_before) | run_starts(bytes_before))
        return pairwise([*starts.tolist(), len(sizes)])


@asynccontextmanager
async def open_reject_writer(
    workspace: Workspace,
    key: str,
    executor: Executor | None = None,
    *,
    batch: RejectBatch | None = None,
    corrections: Corrections | None = None,
) -> AsyncIterator[RejectWriter]:
    """Open the writer of one source object's rejects.

    Their object appears when the block ends, and never where it raises.

    Args:
        workspace: Workspace that receives the object.
        key: Key of the object below the workspace.
        executor: Threads that encode; None for the event loop's.
        batch: When held rejects are written.
        corrections: With which the source object was read; offsets are those without.
    """
    async with AsyncExitStack() as stack:
        writer = RejectWriter(workspace, key, executor, stack, batch or RejectBatch(), corrections)
        yield writer
        await writer.flush()
