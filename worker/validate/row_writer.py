"""Write the rows behind a source object's header: parsed, then to the clean file or the rejects."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from kpi.contract.customers import CUSTOMER
from kpi.contract.model import Dataset
from kpi.contract.receipt_notes import Note
from kpi.csv.chunk import Chunk
from kpi.csv.header import Layout
from kpi.validation.parser import ChunkParser
from kpi.validation.rejects import ParsedChunk
from worker.clean.writer import parquet_stream
from worker.objects.corrections import Corrections
from worker.state.entry import Part
from worker.validate.context import ValidationContext
from worker.validate.parse_pool import KeyOrder, Parser, parse_in_order
from worker.validate.reject_summary import summary_of
from worker.validate.reject_writer import RejectWriter, open_reject_writer
from worker.validate.verdict import RowCounts, Unreadable, too_many_rejects

RANGED_COLUMNS = ("order_id", "id", "created_at")
"""Columns with minimum and maximum in the ledger, beside the key: joins and days prune by them."""


@dataclass(frozen=True)
class ResultKeys:
    """Keys, below the workspace, of what a source object becomes."""

    clean: str
    rejects: str


class RowWriter:
    """Writes the rows of one source object and counts them.

    Attributes:
        rejects_key: Key of the rejects below the workspace; None where there are none.
        rejects_summary: What is wrong with most rejects; empty where there are none.
    """

    def __init__(
        self,
        keys: ResultKeys,
        layout: Layout,
        context: ValidationContext,
        counts: RowCounts,
        corrections: Corrections | None,
    ) -> None:
        self._keys = keys
        self._layout = layout
        self._context = context
        self._counts = counts
        self._corrections = corrections
        self.rejects_key: str | None = None
        self.rejects_summary = ""

    async def write(
        self, first: Chunk | None, chunks: AsyncIterator[Chunk], *, may_refuse: bool
    ) -> tuple[Part | None, str | None]:
        """Write all rows.

        Args:
            first: Remainder of the chunk that holds the header.
            chunks: The other chunks.
            may_refuse: Whether too many rejects refuse the object.

        Returns:
            The clean file, or why the source object is refused. A refused one leaves no clean
            file; the rejects found so far stay for inspection.
        """
        part, refusal = None, None
        workspace, executor = self._context.workspace, self._context.executor
        async with open_reject_writer(
            workspace, self._keys.rejects, executor, corrections=self._corrections
        ) as rejects:
            try:
                part = await self._write(first, chunks, rejects, may_refuse=may_refuse)
            except (_Refused, Unreadable) as refused:
                refusal = str(refused)
        self.rejects_key = rejects.key
        return part, refusal

    async def _write(
        self,
        first: Chunk | None,
        chunks: AsyncIterator[Chunk],
        rejects: RejectWriter,
        *,
        may_refuse: bool,
    ) -> Part:
        dataset, counts, context = self._layout.dataset, self._counts, self._context
        key_order, summary = KeyOrder(dataset.key), summary_of(self._layout)
        wanted = dict.fromkeys((*dataset.key, *RANGED_COLUMNS))
        async with parquet_stream(
            context.workspace.store,
            context.workspace.absolute(self._keys.clean),
            self._layout.schema,
            [name for name in wanted if name in dataset.columns and name != CUSTOMER],
            context.executor,
            high_cardinality=high_cardinality(dataset),
        ) as clean_file:
            parser = self._parser()
            results = parse_in_order(parser, first, chunks, context.executor)
            async with aclosing(results):
                async for parsed in results:
                    if parsed.rejects.num_rows:
                        await rejects.write(parsed.rejects, counts.records)
                        summary.add(parsed.rejects)
                    if parsed.clean.num_rows:
                        key_order.include(parsed)
                        await clean_file.write(parsed.clean)
                    self._count(parsed)
            self.rejects_summary = summary.describe()
            if may_refuse:
                reason = too_many_rejects(
                    self._layout.contract, counts.rows, counts.rejected, self.rejects_summary
                )
                if reason:
                    raise _Refused(reason)
        return Part(
            key=self._keys.clean,
            rows=counts.clean,
            size_bytes=clean_file.size_bytes,
            ranges=clean_file.ranges(),
            ascending=key_order.is_strictly_increasing,
        )

    def _parser(self) -> Parser:
        parser = ChunkParser(self._layout, threading.Lock())
        erasures = self._context.erasures
        if not erasures.records:
            return parser
        # Digests take a package that most runs do without.
        from worker.validate.erasing import ErasingParser, subjects_of  # noqa: PLC0415

        return ErasingParser(parser, self._layout, subjects_of(erasures))

    def _count(self, parsed: ParsedChunk) -> None:
        counts = self._counts
        counts.rows += parsed.rows
        counts.clean += parsed.clean.num_rows
        counts.rejected += parsed.rejects.num_rows
        counts.passed_over += parsed.rows - parsed.clean.num_rows - parsed.rejects.num_rows
        counts.reasons.update(parsed.reasons)
        counts.notes.update(parsed.notes)
        if parsed.blank_rows:
            counts.notes[str(Note.BLANK_ROWS)] += parsed.blank_rows


def high_cardinality(dataset: Dataset) -> Sequence[str]:
    """Name the id columns whose neighbouring values hardly ever repeat.

    These are a key of one column, and the products of items. The items of an order, by contrast,
    are neighbours and repeat its id.
    """
    return (*(dataset.key if len(dataset.key) == 1 else ()), "product_id")


class _Refused(Exception):
    """Leaves the block that writes the clean file, so that the file never appears."""
