"""Look through all rows of a text that is longer than its sample."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace

import pyarrow as pa
import pyarrow.csv as pacsv

from kpi.inference.samples import TableSample
from kpi.inference.text_files import SAMPLE_ROWS
from kpi.inference.witnesses import Witnesses
from worker.objects import ObjectInfo, ObjectStore
from worker.validate.stream import BlockSizes, SourceStream

BLOCK_BYTES = 8 * 2**20

MAX_PASS_BYTES = 4 * 2**30
"""Text of one file that is looked through, some minutes; what lies behind is not looked at."""

MAX_OPEN_BYTES = 64 * 2**20
"""Text without an end of a record, behind which the look ends."""

MAX_INFLATION = 1100


async def look_through(sample: TableSample, store: ObjectStore, info: ObjectInfo) -> TableSample:
    """Add rows to a sample that say what the first ones of its file do not.

    Memory is that of a block, of the hashes of its keys, and of the rows that are kept.
    """
    witnesses = Witnesses(sample.columns)
    records = _Records(sample)
    is_whole = True
    text_bytes = 0
    sizes = BlockSizes(block_bytes=BLOCK_BYTES, overlap_bytes=0)
    async with (
        SourceStream(store, info, max_inflation=MAX_INFLATION, block_sizes=sizes) as stream,
        aclosing(stream.blocks()) as blocks,
    ):
        async for block in blocks:
            await asyncio.to_thread(records.push, witnesses, bytes(block.new))
            text_bytes += len(block.new)
            if text_bytes > MAX_PASS_BYTES or records.is_lost:
                is_whole = False
                break
    if not records.is_lost:
        await asyncio.to_thread(records.push, witnesses, b"", last=True)
    columns = tuple(
        (*cells, *(row[at] for row in witnesses.rows)) for at, cells in enumerate(sample.columns)
    )
    return replace(
        sample,
        columns=columns,
        whole=is_whole,
        rows_total=max(witnesses.rows_seen - sample.has_headers, sample.rows_total),
        repeated=witnesses.repeated(),
        misfits=max(records.misfits, sample.misfits),
    )


class _Records:
    """Cuts a stream of text into columns of whole records."""

    def __init__(self, sample: TableSample) -> None:
        self._width = len(sample.headers)
        self._delimiter = str(sample.words.get("delimiter", ","))
        self._is_quoted = sample.words.get("quote") != ""
        encoding = sample.words.get("encoding")
        self._decoder: codecs.IncrementalDecoder | None = None
        if isinstance(encoding, str):
            self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._is_first = True
        self._known = min(SAMPLE_ROWS, sample.rows) + sample.has_headers
        self._rest = b""
        self.misfits = 0
        self.is_lost = False

    def push(self, witnesses: Witnesses, block: bytes, *, last: bool = False) -> None:
        """Let the records that a block completes be looked through."""
        if self._is_first:
            self._is_first = False
            if block[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                self._decoder = codecs.getincrementaldecoder("utf-16")("replace")
        if self._decoder is not None:
            block = self._decoder.decode(block, last).encode("utf-8", "replace")
        text = self._rest + block
        end = len(text) if last else self._end_of_records(text)
        self._rest = text[end:]
        if len(self._rest) > MAX_OPEN_BYTES:
            self.is_lost = True
            return
        for columns in self._columns(text[:end]):
            first = min(self._known, len(columns[0]))
            self._known -= first
            witnesses.see(columns, first=first)

    def _end_of_records(self, text: bytes) -> int:
        """Find the last line end that no quote holds; 0 for none."""
        end = text.rfind(b"\n") + 1
        if not self._is_quoted:
            return end
        quotes = text.count(b'"', 0, end)
        while end and quotes % 2:
            before = text.rfind(b"\n", 0, end - 1) + 1
            quotes -= text.count(b'"', before, end)
            end = before
        return end

    def _columns(self, text: bytes) -> Iterator[list[pa.StringArray]]:
        if not text.strip():
            return
        names = [str(number) for number in range(self._width)]
        table = pacsv.read_csv(
            pa.BufferReader(text),
            pacsv.ReadOptions(column_names=names, use_threads=False, block_size=len(text) + 1),
            pacsv.ParseOptions(
                delimiter=self._delimiter,
                quote_char='"' if self._is_quoted else False,
                newlines_in_values=self._is_quoted,
                invalid_row_handler=self._skip,
            ),
            pacsv.ConvertOptions(check_utf8=False, column_types=dict.fromkeys(names, pa.string())),
        )
        for batch in table.to_batches():
            yield batch.columns

    def _skip(self, _: object) -> str:
        self.misfits += 1
        return "skip"
