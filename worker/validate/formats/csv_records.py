"""CSV as records, in every dialect of the language."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from kpi.contract.file_entries import DELIMITERS
from kpi.contract.model import header_form
from kpi.contract.shop import FileLayout
from kpi.csv.blank_records import find_blank_records
from kpi.csv.chunk import Chunk
from kpi.csv.dialect import Dialect, HeaderRule, find_dialect
from kpi.csv.header import Refusal
from kpi.csv.line_limit import limit_lines
from kpi.csv.plain_lines import LineSplitter
from kpi.csv.splitter import RecordSplitter
from kpi.csv.text_table import read_texts
from kpi.errors import BalanceError
from kpi.kernels.arrays import Mask, Positions
from kpi.mapping.headers import FileRefusedError, needed_positions, wanted_headers
from kpi.validation.reading import WrongColumnCounts
from kpi.validation.rejects import Broken, assemble_rejects
from kpi.validation.rules import Problem
from worker.validate.decoding import NULL, STAND_IN, without_stand_ins
from worker.validate.formats import (
    NO_LEVELS,
    UNKNOWN_HEADER,
    Candidate,
    FormatContext,
    Opened,
    ReadRecords,
)
from worker.validate.formats.text_file import HEAD_BYTES, TextFile


class CsvRecords:
    """Records of one chunk; see `Records`."""

    has_level: Sequence[Mask] = ()

    def __init__(
        self, chunk: Chunk, dialect: Dialect, layout: FileLayout, needed: Sequence[int]
    ) -> None:
        quote, has_escapes = layout.quote, bool(layout.escape)
        self._chunk = chunk
        texts = read_texts(chunk, len(dialect.headers), dialect.delimiter, needed)
        if len(texts.index) != len(texts.numbers) + len(texts.wrong):
            raise BalanceError(
                f"chunk at byte {chunk.offset}: found {len(texts.index)} records, parsed "
                f"{len(texts.numbers)} rows and {len(texts.wrong)} of wrong width"
            )
        records = texts.index.bounds(texts.wrong)
        is_blank = find_blank_records(chunk, records, dialect.delimiter, quote=quote)
        self._texts = replace(
            texts, wrong=texts.wrong[~is_blank], wrong_counts=texts.wrong_counts[~is_blank]
        )
        self.columns: Sequence[pa.Array] = texts.columns
        if has_escapes:
            self.columns = list(map(_unescaped, texts.columns))
        self.count = len(texts.index) + len(chunk.malformed)
        self.broken = len(self._texts.wrong) + len(chunk.malformed)
        self.blank = int(is_blank.sum())

    def rejects(
        self, problems: list[Problem], rejected: Positions, kept: Positions
    ) -> tuple[pa.Table, Counter[str]]:
        texts = self._texts
        return assemble_rejects(
            self._chunk,
            texts.index,
            Broken(problems, rejected, texts.numbers[kept[rejected]]),
            WrongColumnCounts(texts.wrong, texts.wrong_counts),
            width=len(self.columns),
        )


def _unescaped(column: pa.Array) -> pa.Array:
    """Put the characters of a column back that stood behind an escape character.

    A cell that is `\\N` has no value.
    """
    cells = column.cast(pa.binary()).to_pylist()
    if not any(cell is not None and STAND_IN.search(cell) for cell in cells):
        return column
    plain = [None if cell in (None, NULL) else without_stand_ins(cell) for cell in cells]
    return pa.array(plain, pa.binary()).cast(column.type)


class CsvReader:
    """Reads a CSV file; see `RecordReader`.

    Attributes:
        delimiter: Between its fields.
        quote: Around values; empty where quotes are plain characters.
    """

    levels: Mapping[str, int] = NO_LEVELS
    extra_dates = False

    def __init__(
        self,
        texts: AsyncIterator[bytes],
        dialect: Dialect,
        layout: FileLayout,
        max_record_bytes: int,
        needed: Sequence[int],
    ) -> None:
        self._needed = needed
        self._texts = texts
        self._dialect = dialect
        self._layout = layout
        self._limit = max_record_bytes
        self.headers = dialect.headers
        self.delimiter = dialect.delimiter
        self.quote = layout.quote
        self.first_record = dialect.records_before

    async def read(self) -> AsyncGenerator[ReadRecords, None]:
        dialect = self._dialect
        splitter: RecordSplitter | LineSplitter = LineSplitter(
            max_record_bytes=self._limit, offset=dialect.start
        )
        if self._layout.quote:
            splitter = RecordSplitter(
                delimiter=dialect.delimiter, max_record_bytes=self._limit, offset=dialect.start
            )
        before = dialect.start
        async for text in self._texts:
            block = text[before:]
            before = max(before - len(text), 0)
            for part in limit_lines(block, lambda: splitter.unfinished_bytes):
                for chunk in splitter.split(part):
                    yield self._task(chunk)
        for chunk in splitter.split(b"", last=True):
            yield self._task(chunk)

    def _task(self, chunk: Chunk) -> ReadRecords:
        return lambda: CsvRecords(chunk, self._dialect, self._layout, self._needed)


async def open_csv(
    candidates: Sequence[Candidate], context: FormatContext, text: TextFile
) -> Opened:
    """Find the entry whose header a CSV file has.

    Args:
        candidates: Entries that may take it, in order.
        context: What readers know of the contract.
        text: The file.

    Raises:
        FileRefusedError: No entry takes it, or its header is not found.
    """
    for candidate in candidates:
        layout = candidate.layout
        head = await text.head(layout.encoding, layout.escape, layout.quote)
        whole = text.is_whole and len(head) <= HEAD_BYTES
        head = head[:HEAD_BYTES]
        if layout.known_by and not _is_known(head, layout, context, whole=whole):
            continue
        wanted = [*wanted_headers(context.shop, layout), *_known_by(layout)]
        dialect = find_dialect(head, _header_rule(layout, context, wanted), whole=whole)
        if isinstance(dialect, Refusal):
            raise FileRefusedError(dialect.reason)
        texts = text.all(layout.encoding, layout.escape, layout.quote)
        needed = needed_positions(context.shop, layout, dialect.headers)
        reader = CsvReader(texts, dialect, layout, context.max_record_bytes, needed)
        return Opened(candidate=candidate, reader=reader)
    raise FileRefusedError(UNKNOWN_HEADER)


def _is_known(head: bytes, layout: FileLayout, context: FormatContext, *, whole: bool) -> bool:
    """Whether the header of a file has what an entry is known by."""
    rule = _header_rule(layout, context, _known_by(layout))
    dialect = find_dialect(head, rule, whole=whole)
    return not isinstance(dialect, Refusal) and layout.is_known_by(
        map(header_form, dialect.headers)
    )


def _known_by(layout: FileLayout) -> list[tuple[str, ...]]:
    return [(header_form(header),) for header in layout.known_by]


def _header_rule(
    layout: FileLayout, context: FormatContext, wanted: Sequence[tuple[str, ...]]
) -> HeaderRule:
    return HeaderRule(
        delimiters=[layout.delimiter] if layout.delimiter else list(DELIMITERS),
        quoted=bool(layout.quote),
        columns=layout.columns,
        begins=layout.begins,
        wanted=wanted,
        max_columns=context.max_columns,
    )
