"""Look through all rows of a file that is longer than its sample."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

import orjson
import pyarrow as pa
import pyarrow.csv as pacsv

from kpi.inference.samples import TableSample
from kpi.inference.witnesses import Witnesses
from kpi.json.columns import Shape, read_objects
from kpi.json.framing import NotRecordsError, make_framer
from worker.validate.block import Block

BLOCK_BYTES = 8 * 2**20

MAX_PASS_BYTES = 4 * 2**30
"""Text of one file that is looked through, some minutes; what lies behind is not looked at."""

MAX_OPEN_BYTES = 64 * 2**20
"""Text without an end of a record, behind which the look ends."""

MAX_RECORD_BYTES = 16 * 2**20
"""One record of JSON."""


class Rows(Protocol):
    """Cuts a stream of bytes into columns of rows.

    Attributes:
        header_rows: Rows before those of the sample.
        misfits: Records that are no rows.
        is_lost: Whether the rest cannot be read.
    """

    header_rows: int
    misfits: int
    is_lost: bool

    def push(self, block: bytes, *, last: bool = False) -> Iterator[Sequence[pa.StringArray]]:
        """Yield the columns of the rows that a block completes."""


async def look_through(
    sample: TableSample, blocks: AsyncGenerator[Block, None], rows: Rows
) -> TableSample:
    """Add rows to a sample that say what the first ones of its file do not.

    Memory is that of a block, of the hashes of its keys, and of the rows that are kept.
    """
    look = Look(sample, header_rows=rows.header_rows)
    text_bytes = 0
    async with aclosing(blocks):
        async for block in blocks:
            await asyncio.to_thread(look.see_all, rows.push(bytes(block.new)))
            text_bytes += len(block.new)
            if text_bytes > MAX_PASS_BYTES or rows.is_lost:
                look.is_whole = False
                break
    if not rows.is_lost:
        await asyncio.to_thread(look.see_all, rows.push(b"", last=True))
    return look.sample(rows.misfits)


class Look:
    """Looks through the rows of a file, the first ones of which are its sample.

    Attributes:
        is_whole: Whether all rows are seen.
    """

    def __init__(self, sample: TableSample, *, header_rows: int = 0) -> None:
        """Begin with a sample, whose rows the stream has again.

        Args:
            sample: Of the file.
            header_rows: Rows of the stream before them.
        """
        self._sample = sample
        self._witnesses = Witnesses(sample.columns)
        self._known = sample.rows + header_rows
        self._headers = header_rows
        self.is_whole = True

    @classmethod
    def behind(cls, sample: TableSample) -> Look:
        """Begin with a sample, the rows behind which are to come."""
        look = cls(sample)
        look.see_all([[pa.array(cells, pa.string()) for cells in sample.columns]])
        return look

    def see_all(self, parts: Iterable[Sequence[pa.StringArray]]) -> None:
        """Look through rows."""
        for columns in parts:
            first = min(self._known, len(columns[0]))
            self._known -= first
            self._witnesses.see(columns, first=first)

    def sample(self, misfits: int = 0) -> TableSample:
        """Give the sample with the rows that were kept."""
        kept = self._witnesses.rows
        columns = tuple(
            (*cells, *(row[at] for row in kept)) for at, cells in enumerate(self._sample.columns)
        )
        return replace(
            self._sample,
            columns=columns,
            whole=self.is_whole,
            rows_total=max(self._witnesses.rows_seen - self._headers, self._sample.rows_total),
            repeated=self._witnesses.repeated(),
            misfits=max(misfits, self._sample.misfits),
        )


class TextRows:
    """Cuts a stream of text into columns of whole records."""

    def __init__(self, sample: TableSample) -> None:
        self.header_rows = int(sample.has_headers)
        self._width = len(sample.headers)
        self._delimiter = str(sample.words.get("delimiter", ","))
        self._is_quoted = sample.words.get("quote") != ""
        encoding = sample.words.get("encoding")
        self._decoder: codecs.IncrementalDecoder | None = None
        if isinstance(encoding, str):
            self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._is_first = True
        self._rest = b""
        self.misfits = 0
        self.is_lost = False

    def push(self, block: bytes, *, last: bool = False) -> Iterator[list[pa.StringArray]]:
        """Yield the columns of the records that a block completes."""
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
        yield from self._columns(text[:end])

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


class JsonRows:
    """Reads a stream of JSON; what cannot be read ends the look."""

    header_rows = 0

    def __init__(self, head: bytes, shape: Shape) -> None:
        """Begin a stream.

        Args:
            head: Its beginning.
            shape: Where the values of the sample's columns are.
        """
        self._framer = make_framer(head, max_record_bytes=MAX_RECORD_BYTES)
        self._shape = shape
        self.misfits = 0
        self.is_lost = False

    def push(self, block: bytes, *, last: bool = False) -> Iterator[list[pa.StringArray]]:
        """Yield the columns of the records that a block completes."""
        try:
            records = self._framer.push(block, last=last)
        except NotRecordsError:
            self.is_lost = True
            return
        for group in records.groups():
            yield [as_texts(one) for one in read_objects(group, self._shape, orjson.loads).columns]


def as_texts(column: pa.Array) -> pa.StringArray:
    """Give the texts of a column, empty where there is no value or no text."""
    try:
        texts = column.cast(pa.string())
    except pa.ArrowException:
        return pa.array([""] * len(column), pa.string())
    return texts.fill_null("")
