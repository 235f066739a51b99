"""Validate what a source object says against the contract: its header, then row by row."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace

from kpi.contract.receipt_notes import Note
from kpi.csv.blank_records import is_blank_record
from kpi.csv.chunk import Chunk
from kpi.csv.first_record import find_other_format, find_separator
from kpi.csv.header import Layout, Refusal, read_layout
from kpi.csv.line_limit import limit_lines
from kpi.csv.record_index import RecordBounds, find_records
from kpi.csv.splitter import RecordSplitter
from worker.objects.source import Source
from worker.state import Entry
from worker.state.entry import Part
from worker.validate.block import Block
from worker.validate.byte_range import ByteRange
from worker.validate.context import ValidationContext
from worker.validate.decoding import corrected_blocks
from worker.validate.row_writer import ResultKeys, RowWriter
from worker.validate.stream import SourceStream
from worker.validate.verdict import RowCounts, Unreadable, accept, refuse

LINE_ENDS = b"\r\n"


def _refuse_malformed(chunk: Chunk, before: int | None) -> Refusal | None:
    """Refuse an object that begins with a malformed record.

    Args:
        chunk: The first chunk with records.
        before: Offset of the first well-formed record with values; None where there is none.
    """
    malformed = chunk.malformed[0] if chunk.malformed else None
    if malformed is None or (before is not None and malformed.offset > before):
        return None
    other = find_other_format(malformed.raw)
    if other is not None:
        return Refusal(reason=other)
    return Refusal(reason=f"expected a header, got a record with {malformed.reason}")


class SourceValidation:
    """Validation of one source object, or of a byte range of it."""

    def __init__(
        self,
        source: Source,
        context: ValidationContext,
        stream: SourceStream,
        byte_range: ByteRange | None,
    ) -> None:
        self._source = source
        self._context = context
        self._contract = context.contract
        self._stream = stream
        self._byte_range = byte_range
        self._counts = RowCounts()
        self._rejects_key: str | None = None
        self._last_byte = b""
        self._has_separator_line = False

    async def run(self) -> Entry:
        """Stream the object through; its clean file appears only if it is accepted.

        Raises:
            SourceError: The object cannot be read.
            StoreError: Results cannot be written.
        """
        try:
            async with aclosing(self._chunks()) as chunks:
                return await self._validate(chunks)
        except Unreadable as unreadable:
            return await self._refused(str(unreadable))

    async def read_layout(self) -> Layout | Refusal:
        """Read the header alone.

        Raises:
            Unreadable: The object is no text.
            SourceError: It cannot be read.
        """
        async with aclosing(self._chunks()) as chunks:
            return (await self._read_header(chunks))[0]

    async def _validate(self, chunks: AsyncIterator[Chunk]) -> Entry:
        if self._byte_range and self._byte_range.start > 0:
            layout, first = await self._read_object_header(), None
        else:
            layout, first = await self._read_header(chunks)
        if isinstance(layout, Refusal):
            if self._context.refused_header and layout.header:
                self._context.refused_header(self._source, layout.header)
            return await self._refused(layout.reason)
        writer = RowWriter(
            self._result_keys(), layout, self._context, self._counts, self._source.corrections
        )
        part, refusal = await writer.write(first, chunks, may_refuse=self._byte_range is None)
        self._rejects_key = writer.rejects_key
        if refusal is not None:
            return await self._refused(refusal)
        await self._stream.finish_digest()
        entry = self._entry(parts=(part,) if part is not None and part.rows else ())
        # The manifest of a byte range keeps it: all ranges together may refuse the object.
        summary = writer.rejects_summary if self._byte_range else ""
        return replace(entry, reason=summary) if summary else entry

    def _result_keys(self) -> ResultKeys:
        suffix = f"-{self._byte_range.padded}" if self._byte_range else ""
        clean, rejects = (
            self._context.workspace.key(zone, self._source, self._contract, suffix)
            for zone in ("clean", "rejects")
        )
        return ResultKeys(clean=clean, rejects=rejects)

    async def _refused(self, reason: str) -> Entry:
        await self._stream.finish_digest(refused=True)
        return refuse(self._entry(parts=()), reason)

    def _splitter(self, offset: int = 0) -> RecordSplitter:
        return RecordSplitter(
            delimiter=self._contract.delimiter,
            max_record_bytes=self._contract.max_record_bytes,
            offset=offset,
        )

    async def _chunks(self) -> AsyncGenerator[Chunk, None]:
        splitter = self._splitter(self._byte_range.start if self._byte_range else 0)
        progress = self._context.progress
        async with aclosing(self._blocks()) as blocks:
            async for block in blocks:
                overlap = block.overlap
                for part in limit_lines(block.data, lambda: splitter.unfinished_bytes):
                    for chunk in splitter.split(part, overlap=overlap):
                        yield chunk
                    overlap = 0
                self._last_byte = block.data[-1:] or self._last_byte
                if progress:
                    progress(self._source, self._stream.bytes_read, self._counts.rows)
        for chunk in splitter.split(b"", last=True):
            yield chunk

    def _blocks(self) -> AsyncGenerator[Block, None]:
        """Read the text, with the corrected records in their places."""
        blocks, corrections = self._stream.blocks(), self._source.corrections
        if corrections is None:
            return blocks
        return corrected_blocks(blocks, corrections, self._source.info.url)

    async def _read_object_header(self) -> Layout | Refusal:
        """Read the header of the object, for a byte range that does not begin with it."""
        info, block_sizes = self._source.info, self._context.block_sizes
        end = min(info.size_bytes, self._contract.max_record_bytes + block_sizes.block_bytes)
        splitter = self._splitter()

        async def chunks(stream: SourceStream) -> AsyncIterator[Chunk]:
            async for block in stream.blocks():
                for chunk in splitter.split(block.data, overlap=block.overlap):
                    yield chunk

        async with SourceStream(
            self._source.store,
            info,
            byte_range=ByteRange(0, end),
            max_inflation=1,
            block_sizes=block_sizes,
        ) as stream:
            return (await self._read_header(chunks(stream)))[0]

    async def _read_header(
        self, chunks: AsyncIterator[Chunk]
    ) -> tuple[Layout | Refusal, Chunk | None]:
        """Read the layout, and return the remainder of the chunk that holds the header."""
        dataset = self._contract.datasets[self._source.dataset]
        async for chunk in chunks:
            records = find_records(chunk, delimiter=self._contract.delimiter)
            number = self._count_before_header(chunk, records)
            at = chunk.offset + int(records.starts[number]) if number < len(records) else None
            refusal = _refuse_malformed(chunk, before=at)
            if refusal is not None:
                return refusal, None
            if at is None:
                continue
            record = bytes(chunk.data[records.starts[number] : records.ends[number]])
            separator = find_separator(record)
            if separator is not None:
                reason = (
                    f"expected the delimiter {self._contract.delimiter!r} (csv.delimiter), got the "
                    f"line sep={separator}"
                )
                return Refusal(reason=reason), None
            layout = read_layout(record, self._contract, dataset)
            after = number + 1
            rest = int(records.starts[after]) if after < len(records) else chunk.size
            return layout, chunk.after(rest)
        return Refusal(reason="expected a header, got an empty file"), None

    def _count_before_header(self, chunk: Chunk, records: RecordBounds) -> int:
        """Count the blank records and the `sep=` line that a chunk begins with."""
        delimiter = self._contract.delimiter
        for number, (start, end) in enumerate(records.pairs()):
            record = bytes(chunk.data[start:end])
            if find_separator(record) == delimiter:
                self._has_separator_line = True
            elif not is_blank_record(record, delimiter):
                return number
        return len(records)

    def _entry(self, parts: tuple[Part, ...]) -> Entry:
        return replace(
            accept(self._source, self._contract, self._counts),
            sha256=self._stream.sha256,
            content=self._stream.content,
            parts=parts,
            rejects=(self._rejects_key,) if self._rejects_key else (),
            notes=self._notes(),
        )

    def _notes(self) -> dict[str, int]:
        notes = dict(self._stream.notes) | dict(sorted(self._counts.notes.items()))
        if self._has_separator_line and not (self._byte_range and self._byte_range.start):
            notes[str(Note.SEPARATOR_LINE)] = 1
        if self._last_byte and self._last_byte not in LINE_ENDS:
            notes[str(Note.NO_FINAL_LINE_END)] = 1
        return notes
