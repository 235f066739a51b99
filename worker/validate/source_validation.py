"""What a source object says, held against the contract: its header, then row by row."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import Executor
from contextlib import aclosing

from kpi.contract.model import Contract
from kpi.csv.chunk import Chunk
from kpi.csv.header import Layout, Refusal, read_layout
from kpi.csv.line_limit import few_lines
from kpi.csv.record_index import record_starts
from kpi.csv.splitter import RecordSplitter
from worker.clean import Workspace
from worker.objects.source import Progress, Source
from worker.state import Entry
from worker.state.entry import Part
from worker.validate.row_writer import Rows
from worker.validate.stream import BLOCK_BYTES, SourceStream
from worker.validate.verdict import Counts, Unreadable, refuse


class Validation:
    """One source object, or a range of it; for its arguments see `worker.validate.task.clean`."""

    def __init__(
        self,
        source: Source,
        contract: Contract,
        workspace: Workspace,
        stream: SourceStream,
        *,
        executor: Executor,
        progress: Progress | None,
        span: tuple[int, int] | None,
    ) -> None:
        self._span = span
        self._piece = f"-{span[0]:015d}-{span[1]:015d}" if span else ""
        self._source = source
        self._contract = contract
        self._dataset = contract.datasets[source.dataset]
        self._workspace = workspace
        self._executor = executor
        self._stream = stream
        self._progress = progress
        self._counts = Counts()
        self._rejects_key: str | None = None

    async def run(self) -> Entry:
        """Stream the object through; its clean object appears only if it is accepted."""
        try:
            async with aclosing(self._chunks()) as chunks:
                return await self._validated(chunks)
        except Unreadable as unreadable:
            return self._refused(str(unreadable))

    async def _validated(self, chunks: AsyncIterator[Chunk]) -> Entry:
        if self._span and self._span[0] > 0:
            layout, first = await self._header_of_object(), None
        else:
            layout, first = await self._header(chunks)
        if isinstance(layout, Refusal):
            async for _ in chunks:
                pass  # for its digest
            return self._refused(layout.reason)
        rows = Rows(
            self._workspace.key("clean", self._source, self._contract, self._piece),
            self._workspace.key("rejects", self._source, self._contract, self._piece),
            layout=layout,
            workspace=self._workspace,
            executor=self._executor,
            counts=self._counts,
        )
        part, refusal = await rows.write(first, chunks, may_refuse=self._span is None)
        self._rejects_key = rows.rejects_key
        if refusal is not None:
            return self._refused(refusal)
        return self._entry(parts=(part,) if part is not None and part.rows else ())

    def _refused(self, reason: str) -> Entry:
        return refuse(self._entry(parts=()), reason)

    async def _chunks(self) -> AsyncGenerator[Chunk, None]:
        splitter = RecordSplitter(
            delimiter=self._contract.delimiter,
            max_record_bytes=self._contract.max_record_bytes,
            offset=self._span[0] if self._span else 0,
        )
        async with aclosing(self._stream.blocks()) as blocks:
            async for block in blocks:
                again = block.again
                for part in few_lines(block.data, lambda: splitter.unfinished_bytes):
                    chunk = splitter.push(part, again=again)
                    again = 0
                    if chunk is not None:
                        yield chunk
                if self._progress:
                    self._progress(self._source, self._stream.bytes_read, self._counts.rows)
        chunk = splitter.push(b"", last=True)
        if chunk is not None:
            yield chunk

    async def _header_of_object(self) -> Layout | Refusal:
        """The layout, for a range that does not begin with the header."""
        limit = self._contract.max_record_bytes
        end = min(self._source.info.size_bytes, limit + BLOCK_BYTES)
        splitter = RecordSplitter(delimiter=self._contract.delimiter, max_record_bytes=limit)

        async def chunks(stream: SourceStream) -> AsyncIterator[Chunk]:
            async for block in stream.blocks():
                chunk = splitter.push(block.data, again=block.again)
                if chunk is not None:
                    yield chunk

        async with SourceStream(
            self._source.store, self._source.info, end=end, max_inflation=1
        ) as stream:
            return (await self._header(chunks(stream)))[0]

    async def _header(self, chunks: AsyncIterator[Chunk]) -> tuple[Layout | Refusal, Chunk | None]:
        """The layout, and what is left of the chunk that holds the header."""
        async for chunk in chunks:
            starts, ends = record_starts(chunk, delimiter=self._contract.delimiter)
            bad = chunk.malformed[0] if chunk.malformed else None
            at = chunk.offset + int(starts[0]) if len(starts) else None
            if bad is not None and (at is None or bad.offset < at):
                return Refusal(reason=f"expected a header, got a record with {bad.reason}"), None
            if at is None:
                continue
            record = bytes(chunk.data[starts[0] : ends[0]])
            layout = read_layout(record, self._contract, self._dataset)
            rest = int(starts[1]) if len(starts) > 1 else len(chunk.data)
            return layout, chunk.behind(rest)
        return Refusal(reason="expected a header, got an empty file"), None

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
            reasons=dict(sorted(counts.reasons.items())),
            parts=parts,
            rejects=(self._rejects_key,) if self._rejects_key else (),
            contract=self._contract.digest,
            seconds=0.0,
        )
