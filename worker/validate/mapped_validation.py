"""Validate a source object by a contract of language 2: one read, rows of several datasets."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from kpi.aggregation.shop_contradictions import ContradictionCounter
from kpi.contract.customers import customer_columns
from kpi.contract.forms import ISO
from kpi.contract.receipt_notes import CONTRADICTING, Note
from kpi.contract.shop import Shop, ShopDataset
from kpi.mapping.clean_rows import DAY, clean_key, clean_schema, ranged_columns
from kpi.mapping.headers import FileRefusedError
from kpi.mapping.key_order import KeyOrder
from kpi.mapping.mapper import MappedRows, Mapper
from kpi.mapping.repeats import RepeatCounter
from kpi.validation.rules import Problem
from worker.clean.writer import ParquetStream, parquet_stream
from worker.objects.source import Source
from worker.state import Entry
from worker.state.entry import FeedCounts, Part
from worker.validate.context import ValidationContext
from worker.validate.discovery import FEEDS_SEPARATOR
from worker.validate.formats import Candidate, FormatContext, RecordReader, Records
from worker.validate.formats.opening import UNMATCHED, OpenedFile, open_files
from worker.validate.mapped_summary import mapped_summary
from worker.validate.parse_ahead import parse_ahead
from worker.validate.reject_writer import RejectWriter, open_reject_writer
from worker.validate.stream import SourceStream
from worker.validate.verdict import (
    RowCounts,
    Unreadable,
    accept,
    refuse,
    too_many_rejects,
)

if TYPE_CHECKING:
    from worker.validate.mapped_erasing import MappedErasing

ONE_DAY = timedelta(days=1)


@dataclass
class _Feed:
    """Rows of one dataset so far."""

    clean: int = 0
    rejected: int = 0
    passed_over: int = 0
    notes: Counter[str] = field(default_factory=Counter)
    repeats: RepeatCounter | None = None
    contradictions: ContradictionCounter | None = None
    key_order: KeyOrder | None = None


@dataclass(frozen=True)
class _Output:
    """Where the rows of a source object go.

    Attributes:
        clean: Clean file of each dataset that was fed.
        rejects: Rejects.
        stack: Completes the files, or none of them.
    """

    clean: dict[str, ParquetStream]
    rejects: RejectWriter
    stack: AsyncExitStack


@dataclass(frozen=True)
class _ReadRecords:
    """Some records, read and mapped.

    Attributes:
        records: The records.
        mapped: What they are for the datasets.
        blank: Number of records without a value, which are no rows.
        erased: Number of rows that are passed over since a customer was erased alone.
    """

    records: Records
    mapped: MappedRows
    blank: int
    erased: int = 0


class MappedValidation:
    """Validation of one source object by a contract of language 2."""

    def __init__(self, source: Source, context: ValidationContext, stream: SourceStream) -> None:
        self._source = source
        self._context = context
        self._contract = context.contract
        self._stream = stream
        self._counts = RowCounts()
        self._summary = mapped_summary(context.contract)
        self._passed_over = 0
        self._erased = 0
        self._feeds: dict[str, _Feed] = {}
        self._candidates: list[Candidate] = []
        self._rejects_key: str | None = None
        self._erasing = _erasing(context)

    async def run(self) -> Entry:
        """Stream the object through; its clean files appear only if it is accepted.

        Raises:
            SourceError: The object cannot be read.
            StoreError: Results cannot be written.
        """
        shop = self._contract.shop
        layouts = [] if shop is None else shop.layouts_of_object(self._source.info.key)
        if shop is None or not layouts:
            return await self._refused(UNMATCHED)
        if not any(layout.feeds for layout in layouts):
            await self._stream.finish_digest()
            return self._entry(())
        workspace, executor = self._context.workspace, self._context.executor
        key = workspace.key("rejects", self._source, self._contract)
        refusal: str | None = None
        clean: dict[str, ParquetStream] = {}
        async with open_reject_writer(
            workspace, key, executor, corrections=self._source.corrections
        ) as rejects:
            try:
                async with AsyncExitStack() as stack:
                    await self._write(shop, _Output(clean, rejects, stack))
            except (FileRefusedError, Unreadable) as refused:
                refusal = str(refused)
        self._rejects_key = rejects.key
        if refusal is not None:
            return await self._refused(refusal)
        await self._stream.finish_digest()
        return self._entry(self._parts(clean))

    async def _write(self, shop: Shop, output: _Output) -> None:
        """Write the rows; the files are whole once the stack is closed."""
        formats = FormatContext(
            shop=shop,
            max_record_bytes=self._contract.max_record_bytes,
            max_columns=self._contract.max_columns,
            max_inflation=self._contract.max_inflation,
        )
        files = open_files(self._source, self._stream, formats, self._context.executor)
        async with aclosing(files):
            async for file in files:
                await self._write_file(shop, file, output)
        counts = self._counts
        for feed in self._feeds.values():
            # Rows of the other files of an archive are none of its rows.
            feed.passed_over = counts.rows - feed.clean - feed.rejected
            if feed.repeats is not None and (repeated := feed.repeats.count()):
                feed.notes["repeated_keys"] = repeated
            if feed.contradictions is not None:
                found = feed.contradictions.count()
                feed.notes.update({f"{CONTRADICTING}{name}": found[name] for name in found})
        reason = too_many_rejects(
            self._contract,
            # An erasure must not change the verdict on a file.
            counts.rows - self._passed_over + self._erased,
            counts.rejected,
            self._summary.describe(),
        )
        if reason:
            raise FileRefusedError(reason)

    async def _write_file(self, shop: Shop, file: OpenedFile, output: _Output) -> None:
        candidate, reader = file.opened.candidate, file.opened.reader
        self._candidates.append(candidate)
        if not candidate.layout.feeds:
            return  # the contract knows the file, and needs nothing of it
        mapper = self._mapper(shop, candidate, reader)
        for name in candidate.layout.feeds:
            if name not in self._feeds:
                self._feeds[name] = _feed(shop.all_datasets[name])
                output.clean[name] = await self._open_clean(name, shop, output.stack)
        records_before = reader.first_record - 1
        batches = reader.read()
        parsed = parse_ahead(batches, self._context.executor)
        async with aclosing(batches), aclosing(parsed):
            async for records in parsed:
                read = await asyncio.get_running_loop().run_in_executor(
                    self._context.executor, _map, records, mapper, self._erasing
                )
                await self._take(read, output, records_before, file.name)
                records_before += read.records.count
                if self._context.progress:
                    self._context.progress(self._source, self._stream.bytes_read, self._counts.rows)

    def _mapper(self, shop: Shop, candidate: Candidate, reader: RecordReader) -> Mapper:
        last_day = shop.not_after or (self._source.info.uploaded_at + ONE_DAY).date().isoformat()
        layout = candidate.layout
        if reader.extra_dates:
            layout = replace(layout, dates=(*layout.dates, ISO))
        return Mapper(
            shop,
            layout,
            reader.headers,
            candidate.names,
            last_day=int(np.datetime64(last_day, "D").astype(np.int64)),
            rows_before=self._counts.rows,
            levels=reader.levels,
        )

    async def _open_clean(self, name: str, shop: Shop, stack: AsyncExitStack) -> ParquetStream:
        workspace, schema = self._context.workspace, clean_schema(shop.all_datasets[name])
        of_customers = customer_columns(shop, name)
        ranged = [one for one in ranged_columns(shop.all_datasets[name]) if one not in of_customers]
        return await stack.enter_async_context(
            parquet_stream(
                workspace.store,
                workspace.absolute(self._clean_key(name)),
                schema,
                ranged,
                self._context.executor,
                numbered=[one for one in ranged if schema.field(one).type == pa.string()],
            )
        )

    def _parts(self, clean: dict[str, ParquetStream]) -> tuple[Part, ...]:
        return tuple(
            Part(
                key=self._clean_key(name),
                rows=feed.clean,
                size_bytes=clean[name].size_bytes,
                ranges=clean[name].ranges(),
                ascending=feed.key_order is not None and feed.key_order.is_strictly_increasing,
                dataset=name,
            )
            for name, feed in self._feeds.items()
            if feed.clean
        )

    def _file_entry(self, dataset: str) -> int | None:
        """Find the entry that took the rows of a dataset; None where the path tells it."""
        shop = self._contract.shop
        found = None if shop is None else shop.layout_of(self._source.info.key)
        took = next(one for one in self._candidates if dataset in one.layout.feeds)
        return None if found is not None and found[0] == took.layout else took.number

    def _clean_key(self, dataset: str) -> str:
        source = replace(self._source, dataset=dataset)
        return self._context.workspace.key("clean", source, self._contract)

    async def _take(
        self, read: _ReadRecords, output: _Output, records_before: int, file: str | None
    ) -> None:
        """Write what some records became, and count it."""
        records, mapped, counts = read.records, read.mapped, self._counts
        rejected, passed_over = np.zeros(mapped.rows, bool), np.ones(mapped.rows, bool)
        problems: list[Problem] = []
        for name, rows in mapped.datasets.items():
            rejected |= rows.rejected
            passed_over &= rows.passed_over
            problems += [replace(one, column=_place(name, one, file)) for one in rows.problems]
            feed = self._feeds[name]
            feed.clean += rows.clean.num_rows
            feed.rejected += int(rows.rejected.sum()) + records.broken
            feed.notes.update(rows.notes)
            if rows.clean.num_rows:
                await output.clean[name].write(rows.clean)
            if feed.repeats is not None:
                words = feed.repeats.include(rows.clean)
                if feed.contradictions is not None:
                    feed.contradictions.include(rows.clean, words)
            if feed.key_order is not None:
                feed.key_order.include(rows.clean)
        table, reasons = records.rejects(problems, np.flatnonzero(rejected), mapped.kept)
        if self._erasing is not None:
            table, notes = self._erasing.rejects(table)
            counts.notes.update(notes)
        await output.rejects.write(table, records_before)
        if table.num_rows:
            self._summary.add(table)
            for problem in problems:
                self._summary.add_shapes(problem)
        counts.rows += mapped.rows + records.broken
        counts.rejected += table.num_rows
        self._passed_over += int((passed_over & ~rejected).sum())
        self._erased += read.erased
        counts.clean = counts.rows - counts.rejected - self._passed_over
        counts.reasons.update(reasons)
        if read.blank:
            counts.notes[str(Note.BLANK_ROWS)] += read.blank

    async def _refused(self, reason: str) -> Entry:
        await self._stream.finish_digest(refused=True)
        self._feeds = {}
        self._passed_over = 0
        return refuse(self._entry(()), reason)

    def _entry(self, parts: tuple[Part, ...]) -> Entry:
        return replace(
            accept(self._source, self._contract, self._counts),
            sha256=self._stream.sha256,
            content=self._stream.content,
            dataset=FEEDS_SEPARATOR.join(self._feeds) or self._source.dataset,
            notes=dict(self._counts.notes),
            rows_passed_over=self._passed_over,
            parts=parts,
            rejects=(self._rejects_key,) if self._rejects_key else (),
            feeds={
                name: FeedCounts(
                    clean=feed.clean,
                    rejected=feed.rejected,
                    passed_over=feed.passed_over,
                    notes=dict(sorted(feed.notes.items())),
                    file_entry=self._file_entry(name),
                )
                for name, feed in self._feeds.items()
            },
        )


def _feed(dataset: ShopDataset) -> _Feed:
    """Begin to count the rows of a dataset; of keys, also those that stand there twice."""
    if dataset.key_by != "columns":
        return _Feed()
    key = [DAY if name == dataset.valid_from else name for name in dataset.key]
    feed = _Feed(repeats=RepeatCounter(key), key_order=KeyOrder(clean_key(dataset)))
    # Rows of a change file are meant to differ.
    if dataset.name == "orders" and dataset.version is None and not dataset.deleted:
        feed.contradictions = ContradictionCounter(dataset)
    return feed


def _erasing(context: ValidationContext) -> MappedErasing | None:
    """Return what erases customers; None where nobody was erased."""
    if not context.erasures.records:
        return None
    # Digests take a package that most runs do without.
    from worker.validate.mapped_erasing import MappedErasing  # noqa: PLC0415

    return MappedErasing(context.erasures, context.contract)


def _map(records: Records, mapper: Mapper, erasing: MappedErasing | None) -> _ReadRecords:
    mapped = mapper.map(records.columns, records.has_level)
    blank = records.blank + mapped.blank
    if erasing is None:
        return _ReadRecords(records, mapped, blank)
    left = erasing.rows(mapped)
    erased = _count_passed_over(left) - _count_passed_over(mapped)
    return _ReadRecords(records, left, blank, erased)


def _count_passed_over(mapped: MappedRows) -> int:
    """Count the rows that are of no dataset."""
    rejected, passed_over = np.zeros(mapped.rows, bool), np.ones(mapped.rows, bool)
    for rows in mapped.datasets.values():
        rejected |= rows.rejected
        passed_over &= rows.passed_over
    return int((passed_over & ~rejected).sum())


def _place(dataset: str, problem: Problem, file: str | None) -> str:
    """Name a column for a reject, and the file of an archive that it is in."""
    column = f"{dataset}.{problem.column}"
    return column if file is None else f"{file}: {column}"
