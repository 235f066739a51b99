"""JSON Lines, lists of objects and objects one after the other, as records."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

import orjson
import pyarrow as pa

from kpi.contract.conditions import columns_of
from kpi.contract.model import header_form
from kpi.contract.shop import FileLayout, Shop
from kpi.json.columns import Path, SamplePaths, Shape, list_paths, read_objects
from kpi.json.framing import NotRecordsError, Records, make_framer
from kpi.kernels.arrays import Mask, Positions
from kpi.mapping.columns import PLACES
from kpi.mapping.conditions import has_signs
from kpi.mapping.headers import CURRENCY_HEADERS, FileRefusedError, wanted_headers
from kpi.validation.row_rejects import PlacedRow, assemble_row_rejects
from kpi.validation.rules import Problem
from worker.validate.formats import UNKNOWN_HEADER, Candidate, FormatContext, Opened, ReadRecords
from worker.validate.formats.text_file import TextFile

SAMPLE_RECORDS = 1_000
"""Records in which the paths of a file are looked for."""

LISTED_OBJECTS = 20
"""Of them, those whose lists a message names."""

FIRST_LINE_BYTES = 2**16
"""Beginning of a file that tells JSON Lines from objects over several lines."""

IS_A_ROW = "\0"
"""Header of a column that every row has, so that none passes for a blank record."""


class JsonRecords:
    """Records of some bytes; see `Records`."""

    blank = 0

    def __init__(self, records: Records, reader: JsonReader) -> None:
        self._records = records
        rows = read_objects(records, reader.shape, orjson.loads)
        reader.shape = replace(reader.shape, unseen=rows.unseen)
        self._rows = rows
        self.columns: Sequence[pa.Array] = [*rows.columns, pa.array(["1"] * len(rows.record_of))]
        self.count = len(records)
        self.broken = len(rows.malformed)
        self.has_level: Sequence[Mask] = rows.has_level

    def rejects(
        self, problems: list[Problem], rejected: Positions, kept: Positions
    ) -> tuple[pa.Table, Counter[str]]:
        def place(at: int) -> PlacedRow:
            number = int(self._rows.record_of[kept[at]])
            records = self._records
            offset = int(records.offsets[number])
            return PlacedRow(row=number, offset=offset, raw=records.texts[number].strip())

        return assemble_row_rejects(problems, rejected, place, self._rows.malformed)


class JsonReader:
    """Reads a file of JSON; see `RecordReader`."""

    first_record = 0
    extra_dates = False

    def __init__(
        self,
        head: bytes,
        texts: AsyncIterator[bytes],
        shape: Shape,
        max_record_bytes: int,
        lists: Sequence[str] = (),
    ) -> None:
        """Begin a file.

        Args:
            head: Its beginning.
            texts: Its text.
            shape: Where the values of its columns are.
            max_record_bytes: Length of a record at most.
            lists: Paths of lists in its first objects, for messages.
        """
        self._head = head
        self._texts = texts
        self._limit = max_record_bytes
        self._lists = lists
        self.shape = shape
        self.headers = (*shape.headers, IS_A_ROW)
        self.levels: Mapping[str, int] = shape.levels

    async def read(self) -> AsyncGenerator[ReadRecords, None]:
        framer = make_framer(self._head, max_record_bytes=self._limit)
        try:
            async for block in self._texts:
                for records in framer.push(block).groups():
                    yield self._task(records)
            for records in framer.push(b"", last=True).groups():
                yield self._task(records)
        except NotRecordsError as error:
            raise FileRefusedError(str(error)) from error
        if self.shape.unseen:
            names = ", ".join(self.shape.headers[number] for number in sorted(self.shape.unseen))
            hint = f"; each may be {' or '.join(map(repr, self._lists))}" if self._lists else ""
            raise FileRefusedError(f"expected {names} in some object, got none that has it{hint}")

    def _task(self, records: Records) -> ReadRecords:
        return lambda: JsonRecords(records, self)


async def open_json(
    candidates: Sequence[Candidate], context: FormatContext, text: TextFile
) -> Opened:
    """Find the entry that takes a file of JSON, and where its columns are.

    Raises:
        FileRefusedError: No entry takes it.
    """
    head = await text.head(None, "")
    objects = _sample(head, context.max_record_bytes, whole=text.is_whole)
    for candidate in candidates:
        layout = candidate.layout
        each: Path = tuple(layout.each.split(".")) if layout.each else ()
        paths = SamplePaths(objects, each)
        if not all(paths.locate(header)[1] for header in layout.known_by):
            continue
        shape = _shape(context.shop, layout, paths)
        reader = JsonReader(
            head[:FIRST_LINE_BYTES],
            text.all(None, ""),
            shape,
            context.max_record_bytes,
            [one for one in list_paths(objects[:LISTED_OBJECTS]) if one != layout.each],
        )
        return Opened(candidate=candidate, reader=reader)
    raise FileRefusedError(UNKNOWN_HEADER)


def _sample(head: bytes, max_record_bytes: int, *, whole: bool) -> list[object]:
    """Parse the first records, as far as they can be."""
    try:
        records = make_framer(head, max_record_bytes=max_record_bytes).push(head, last=whole)
    except NotRecordsError as error:
        raise FileRefusedError(str(error)) from error
    found = []
    for text in islice(records.texts, SAMPLE_RECORDS):
        try:
            found.append(orjson.loads(text))
        except orjson.JSONDecodeError:
            continue
    return found


def _shape(shop: Shop, layout: FileLayout, paths: SamplePaths) -> Shape:
    headers: list[str] = []
    unseen = []
    named = _spellings(shop, layout)
    for forms in wanted_headers(shop, layout):
        there = [one for one in forms if paths.locate(named[one])[1]]
        for form in there or forms[:1]:
            if named[form] not in headers:
                if not there:
                    unseen.append(len(headers))
                headers.append(named[form])
    for form, path in paths.of_object.items():
        if path[-1].casefold() in CURRENCY_HEADERS and form not in map(header_form, headers):
            headers.append(".".join(path))
    numeric = numeric_forms(shop, layout)
    return Shape(
        headers=tuple(headers),
        places=tuple(paths.locate(one)[0] for one in headers),
        lists=paths.lists,
        numeric=frozenset(one for one in headers if header_form(one) in numeric),
        decimal=layout.numbers.decimal,
        unseen=frozenset(unseen),
    )


def _spellings(shop: Shop, layout: FileLayout) -> dict[str, str]:
    """Folded header -> header as the contract writes it."""
    named = [
        header
        for name in layout.feeds
        for column in shop.all_datasets[name].columns.values()
        for header in (*column.headers, *column.join, *column.when)
    ]
    named += [*layout.merged, *([layout.fill] if layout.fill else [])]
    named += [header for one in layout.only.values() for header in columns_of(one)]
    return {header_form(header): header for header in named}


def numeric_forms(shop: Shop, layout: FileLayout) -> set[str]:
    """Folded headers of a file that are read as numbers, or whose sign is tested."""
    found = {header for one in layout.only.values() for header in has_signs(one)}
    for name in layout.feeds:
        for column in shop.all_datasets[name].columns.values():
            if column.stored_kind in PLACES:
                found.update(column.headers)
            found.update(has_signs((column.when,)))
    return set(map(header_form, found))
