"""The rows of a source object, behind its header: parsed, then written or set aside."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Executor
from contextlib import aclosing

from kpi.contract.model import Dataset
from kpi.csv.chunk import Chunk
from kpi.csv.header import Layout
from kpi.validation.parser import ChunkParser
from kpi.validation.rejects import Parsed
from worker.clean import Workspace
from worker.clean.writer import parquet_stream
from worker.state.entry import Part
from worker.validate.parse_pool import Rising, parsed
from worker.validate.reject_writer import Aside, set_aside
from worker.validate.verdict import Counts, Unreadable, too_many_rejects

RANGED = ("order_id", "id", "created_at")
"""Columns whose ranges the ledger keeps, beside the key: joins and days prune by them."""


class Rows:
    """Writes rows of one source object.

    Attributes:
        rejects_key: Key of the rejects below the workspace; None where there are none.
    """

    def __init__(
        self,
        clean_key: str,
        rejects_key: str,
        *,
        layout: Layout,
        workspace: Workspace,
        executor: Executor,
        counts: Counts,
    ) -> None:
        """
        Args:
            clean_key: Where clean rows go, below the workspace.
            rejects_key: Where rejects go.
            layout: What the header says.
            workspace: Where both lie.
            executor: Threads that parse and encode.
            counts: Is told what was written.
        """
        self._clean_key = clean_key
        self._rejects_key = rejects_key
        self._layout = layout
        self._workspace = workspace
        self._executor = executor
        self._counts = counts
        self.rejects_key: str | None = None

    async def write(
        self, first: Chunk | None, chunks: AsyncIterator[Chunk], *, may_refuse: bool
    ) -> tuple[Part | None, str | None]:
        """Write them all.

        Args:
            first: What is left of the chunk that holds the header.
            chunks: The others.
            may_refuse: Whether too many rejects refuse the object.

        Returns:
            The clean object, or why the source object is refused: no clean object has appeared
            then, and the rejects found so far stay to be looked at.
        """
        part, refusal = None, None
        async with set_aside(self._workspace, self._rejects_key, self._executor) as aside:
            try:
                part = await self._write(first, chunks, aside, may_refuse=may_refuse)
            except (_Refused, Unreadable) as refused:
                refusal = str(refused)
        self.rejects_key = aside.key
        return part, refusal

    async def _write(
        self, first: Chunk | None, chunks: AsyncIterator[Chunk], aside: Aside, *, may_refuse: bool
    ) -> Part:
        dataset, counts = self._layout.dataset, self._counts
        rising = Rising(dataset.key)
        wanted = dict.fromkeys((*dataset.key, *RANGED))
        ranged = [name for name in wanted if name in dataset.columns]
        async with parquet_stream(
            self._workspace.store,
            self._workspace.absolute(self._clean_key),
            self._layout.schema,
            ranged,
            self._executor,
            various=various(dataset),
        ) as written:
            parser = ChunkParser(self._layout, threading.Lock())
            results = parsed(parser, first, chunks, self._executor)
            async with aclosing(results):
                async for one in results:
                    await aside.write(one.rejects, counts.rows)
                    if one.clean.num_rows:
                        rising.include(one)
                        await written.write(one.clean)
                    self._count(one)
            if may_refuse:
                reason = too_many_rejects(
                    self._layout.contract, counts.rows, counts.rejected, counts.reasons
                )
                if reason:
                    raise _Refused(reason)
        return Part(
            key=self._clean_key,
            rows=counts.clean,
            size_bytes=written.size_bytes,
            ranges=written.ranges(),
            ascending=rising.throughout,
        )

    def _count(self, parsed: Parsed) -> None:
        counts = self._counts
        counts.rows += parsed.rows
        counts.clean += parsed.clean.num_rows
        counts.rejected += parsed.rejects.num_rows
        counts.reasons.update(parsed.reasons)


def various(dataset: Dataset) -> Sequence[str]:
    """Columns of ids of which neighbours are hardly ever the same: a key of one column, and the
    products of items; the items of an order stand together."""
    return (*(dataset.key if len(dataset.key) == 1 else ()), "product_id")


class _Refused(Exception):  # noqa: N818
    """Leaves the block that writes the clean object, so that the object never appears."""
