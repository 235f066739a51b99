"""Validate a source object by a contract of language 2: one read, rows of several datasets."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field, replace
from datetime import timedelta

import numpy as np
import pyarrow as pa

from kpi.contract.file_entries import DELIMITERS
from kpi.contract.shop import FileLayout, Shop, ShopDataset
from kpi.csv.chunk import Chunk
from kpi.csv.dialect import Dialect, HeaderRule, find_dialect
from kpi.csv.header import Refusal
from kpi.csv.plain_lines import LineSplitter
from kpi.csv.splitter import RecordSplitter
from kpi.csv.text_table import TextTable, read_texts
from kpi.kernels.arrays import Mask
from kpi.mapping.headers import FileRefusedError, wanted_headers
from kpi.mapping.mapper import DAY, MappedRows, Mapper
from kpi.mapping.repeats import RepeatCounter
from kpi.validation.reading import WrongColumnCounts
from kpi.validation.rejects import Broken, assemble_rejects
from kpi.validation.rules import Problem
from worker.clean.writer import ParquetStream, parquet_stream
from worker.objects.source import Source
from worker.state import Entry
from worker.state.entry import FeedCounts, Part
from worker.validate.context import ValidationContext
from worker.validate.decoding import decode
from worker.validate.reject_writer import RejectWriter, open_reject_writer
from worker.validate.stream import SourceStream
from worker.validate.verdict import RowCounts, Unreadable, describe_codes, refuse, too_many_rejects

HEAD_BYTES = 2**20
"""Text in which the dialect and the header are looked for."""

ONE_DAY = timedelta(days=1)


@dataclass
class _Feed:
    """Rows of one dataset so far."""

    clean: int = 0
    rejected: int = 0
    passed_over: int = 0
    notes: Counter[str] = field(default_factory=Counter)
    repeats: RepeatCounter | None = None


@dataclass(frozen=True)
class _ReadChunk:
    """One chunk, read and mapped."""

    chunk: Chunk
    texts: TextTable
    mapped: MappedRows


class MappedValidation:
    """Validation of one source object by a contract of language 2."""

    def __init__(self, source: Source, context: ValidationContext, stream: SourceStream) -> None:
        self._source = source
        self._context = context
        self._contract = context.contract
        self._stream = stream
        self._counts = RowCounts()
        self._passed_over = 0
        self._feeds: dict[str, _Feed] = {}
        self._rejects_key: str | None = None

    async def run(self) -> Entry:
        """Stream the object through; its clean files appear only if it is accepted.

        Raises:
            SourceError: The object cannot be read.
            StoreError: Results cannot be written.
        """
        shop = self._contract.shop
        found = shop.layout_of(self._source.info.key) if shop is not None else None
        if shop is None or found is None:
            return await self._refused(
                "expected a file that an entry of [[files]] matches, got one that none does"
            )
        layout, names = found
        self._feeds = {name: _feed(shop.all_datasets[name]) for name in layout.feeds}
        files: dict[str, ParquetStream] = {}
        workspace, executor = self._context.workspace, self._context.executor
        key = workspace.key("rejects", self._source, self._contract)
        refusal: str | None = None
        async with open_reject_writer(workspace, key, executor) as rejects:
            try:
                async with AsyncExitStack() as stack:
                    files = await self._write(shop, layout, names, rejects, stack)
            except (FileRefusedError, Unreadable) as refused:
                refusal = str(refused)
        self._rejects_key = rejects.key
        if refusal is not None:
            return await self._refused(refusal)
        return self._entry(
            tuple(
                Part(
                    key=self._clean_key(name),
                    rows=feed.clean,
                    size_bytes=files[name].size_bytes,
                    dataset=name,
                )
                for name, feed in self._feeds.items()
                if feed.clean
            )
        )

    async def _write(
        self,
        shop: Shop,
        layout: FileLayout,
        names: dict[str, str],
        rejects: RejectWriter,
        stack: AsyncExitStack,
    ) -> dict[str, ParquetStream]:
        """Write the rows; the files are whole once the stack is closed."""
        texts = await stack.enter_async_context(
            aclosing(decode(self._stream.blocks(), layout.encoding, layout.escape))
        )
        head, ended = b"", False
        while len(head) < HEAD_BYTES and not ended:
            block = await anext(texts, None)
            head, ended = head + (block or b""), block is None
        dialect = find_dialect(head, self._header_rule(shop, layout), whole=ended)
        if isinstance(dialect, Refusal):
            raise FileRefusedError(dialect.reason)
        last_day = shop.not_after or (self._source.info.uploaded_at + ONE_DAY).date().isoformat()
        mapper = Mapper(
            shop,
            layout,
            dialect.headers,
            names,
            last_day=int(np.datetime64(last_day, "D").astype(np.int64)),
        )
        files = {
            name: await stack.enter_async_context(
                parquet_stream(
                    self._context.workspace.store,
                    self._context.workspace.absolute(self._clean_key(name)),
                    schema,
                    (),
                    self._context.executor,
                )
            )
            for name, schema in mapper.schemas.items()
        }
        records_before = dialect.records_before - 1
        chunks = self._chunks(head, texts, dialect, layout)
        async with aclosing(chunks):
            async for chunk in chunks:
                read = await asyncio.get_running_loop().run_in_executor(
                    self._context.executor, _read, chunk, mapper, dialect
                )
                await self._take(read, files, rejects, records_before, len(dialect.headers))
                records_before += len(read.texts.index) + len(chunk.malformed)
        counts = self._counts
        for feed in self._feeds.values():
            if feed.repeats is not None and (repeated := feed.repeats.count()):
                feed.notes["repeated_keys"] = repeated
        reason = too_many_rejects(
            self._contract,
            counts.rows - self._passed_over,
            counts.rejected,
            describe_codes(counts.reasons),
        )
        if reason:
            raise FileRefusedError(reason)
        return files

    def _header_rule(self, shop: Shop, layout: FileLayout) -> HeaderRule:
        return HeaderRule(
            delimiters=[layout.delimiter] if layout.delimiter else list(DELIMITERS),
            quoted=bool(layout.quote),
            columns=layout.columns,
            begins=layout.begins,
            wanted=wanted_headers(shop, layout),
            max_columns=self._contract.max_columns,
        )

    def _clean_key(self, dataset: str) -> str:
        source = replace(self._source, dataset=dataset)
        return self._context.workspace.key("clean", source, self._contract)

    async def _chunks(
        self, head: bytes, texts: AsyncGenerator[bytes, None], dialect: Dialect, layout: FileLayout
    ) -> AsyncGenerator[Chunk, None]:
        limit = self._contract.max_record_bytes
        splitter: RecordSplitter | LineSplitter = LineSplitter(
            max_record_bytes=limit, offset=dialect.start
        )
        if layout.quote:
            splitter = RecordSplitter(
                delimiter=dialect.delimiter, max_record_bytes=limit, offset=dialect.start
            )
        first = splitter.push(head[dialect.start :])
        if first is not None:
            yield first
        async for block in texts:
            chunk = splitter.push(block)
            if chunk is not None:
                yield chunk
            if self._context.progress:
                self._context.progress(self._source, self._stream.bytes_read, self._counts.rows)
        chunk = splitter.push(b"", last=True)
        if chunk is not None:
            yield chunk

    async def _take(
        self,
        read: _ReadChunk,
        files: dict[str, ParquetStream],
        rejects: RejectWriter,
        records_before: int,
        width: int,
    ) -> None:
        """Write what a chunk became, and count it."""
        texts, mapped, counts = read.texts, read.mapped, self._counts
        rejected, passed_over = np.zeros(mapped.rows, bool), np.ones(mapped.rows, bool)
        problems: list[Problem] = []
        broken_records = len(texts.wrong) + len(read.chunk.malformed)
        for name, rows in mapped.datasets.items():
            rejected |= rows.rejected
            passed_over &= rows.passed_over
            problems += [replace(one, column=_place(name, one)) for one in rows.problems]
            feed = self._feeds[name]
            feed.clean += rows.clean.num_rows
            feed.rejected += int(rows.rejected.sum()) + broken_records
            feed.passed_over += int(rows.passed_over.sum())
            feed.notes.update(rows.notes)
            if rows.clean.num_rows:
                await files[name].write(rows.clean)
            if feed.repeats is not None:
                feed.repeats.include(rows.clean)
        table, reasons = _rejects(read, problems, rejected, width)
        await rejects.write(table, records_before)
        counts.rows += mapped.rows + broken_records
        counts.rejected += table.num_rows
        self._passed_over += int((passed_over & ~rejected).sum())
        counts.clean = counts.rows - counts.rejected - self._passed_over
        counts.reasons.update(reasons)

    async def _refused(self, reason: str) -> Entry:
        await self._stream.finish_digest()
        self._feeds = {}
        self._passed_over = 0
        return refuse(self._entry(()), reason)

    def _entry(self, parts: tuple[Part, ...]) -> Entry:
        source, counts = self._source, self._counts
        return Entry(
            source_id=source.source_id,
            dataset=source.dataset,
            url=source.info.url,
            version=source.info.version,
            size_bytes=source.info.size_bytes,
            uploaded_at=source.info.uploaded_at,
            sha256=self._stream.sha256,
            verdict="accepted",
            reason=None,
            rows_read=counts.rows,
            rows_clean=counts.clean,
            rows_rejected=counts.rejected,
            rows_passed_over=self._passed_over,
            reasons=dict(sorted(counts.reasons.items())),
            parts=parts,
            rejects=(self._rejects_key,) if self._rejects_key else (),
            feeds={
                name: FeedCounts(
                    clean=feed.clean,
                    rejected=feed.rejected,
                    passed_over=feed.passed_over,
                    notes=dict(sorted(feed.notes.items())),
                )
                for name, feed in self._feeds.items()
            },
            contract=self._contract.digest,
            seconds=0.0,
        )


def _feed(dataset: ShopDataset) -> _Feed:
    """Begin to count the rows of a dataset; of keys, also those that stand there twice."""
    has_key = dataset.key_by == "columns"
    key = [DAY if name == dataset.valid_from else name for name in dataset.key]
    return _Feed(repeats=RepeatCounter(key) if has_key else None)


def _read(chunk: Chunk, mapper: Mapper, dialect: Dialect) -> _ReadChunk:
    texts = read_texts(chunk, len(dialect.headers), dialect.delimiter)
    return _ReadChunk(chunk, texts, mapper.map(texts.columns))


def _place(dataset: str, problem: Problem) -> str:
    return f"{dataset}.{problem.column}"


def _rejects(
    read: _ReadChunk, problems: list[Problem], rejected: Mask, width: int
) -> tuple[pa.Table, Counter[str]]:
    rows = np.flatnonzero(rejected)
    numbers = read.texts.numbers[read.mapped.kept[rows]]
    return assemble_rejects(
        read.chunk,
        read.texts.index,
        Broken(problems, rows, numbers),
        WrongColumnCounts(read.texts.wrong, read.texts.wrong_counts),
        width=width,
    )
