"""Sheets of Excel workbooks as records."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import orjson
import pyarrow as pa

from kpi.contract.model import header_form
from kpi.contract.shop import FileLayout
from kpi.csv.dialect import HEADER_RECORDS
from kpi.kernels.arrays import Mask, Positions
from kpi.mapping.headers import FileRefusedError, wanted_headers
from kpi.mapping.typed_cells import text_of_cell
from kpi.validation.row_rejects import NO_OFFSET, PlacedRow, assemble_row_rejects
from kpi.validation.rules import Problem
from worker.validate.formats import (
    NO_LEVELS,
    UNKNOWN_HEADER,
    Candidate,
    FormatContext,
    Opened,
    ReadRecords,
)
from worker.validate.formats.error_cells import NO_TEXT, is_error, with_errors_as_texts
from worker.validate.formats.json_records import numeric_forms
from worker.validate.formats.workbook_limits import (
    SHARED_TEXTS,
    SHEETS,
    SheetLimits,
    check_parts,
    read_part,
)
from worker.validate.verdict import Unreadable

BATCH_CELLS = 400_000
"""Cells that are mapped together."""

INSTALL = "pip install python-calamine"


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One sheet of a workbook.

    Attributes:
        name: Of the sheet.
        head: Cells of its first rows, from row 1 on.
        rest: Those of the others, to be read once.
    """

    name: str
    head: list[list[Any]]
    rest: Iterator[list[Any]]


class SheetRecords:
    """Some rows of a sheet; see `Records`."""

    broken = 0
    blank = 0
    has_level: Sequence[Mask] = ()

    def __init__(
        self, rows: Sequence[Sequence[Any]], decimals: Sequence[str], blanks: Sequence[str]
    ) -> None:
        texts = [
            [text_of_cell(row[at] if at < len(row) else None, decimal) for row in rows]
            for at, decimal in enumerate(decimals)
        ]
        self._texts = texts
        self.columns: Sequence[pa.Array] = [_array(column, blanks) for column in texts]
        self.count = len(rows)

    def rejects(
        self, problems: list[Problem], rejected: Positions, kept: Positions
    ) -> tuple[pa.Table, Counter[str]]:
        def place(at: int) -> PlacedRow:
            row = int(kept[at])
            cells = [column[row] for column in self._texts]
            return PlacedRow(row=row, offset=NO_OFFSET, raw=orjson.dumps(cells))

        return assemble_row_rejects(problems, rejected, place)


def _array(texts: list[str | None], blanks: Sequence[str]) -> pa.Array:
    """Make a column; of one with errors these are no texts."""
    if not any(is_error(text, blanks) for text in texts):
        return pa.array(texts, pa.string())
    cells = [
        None if text is None else NO_TEXT * is_error(text, blanks) + text.encode() for text in texts
    ]
    return pa.array(cells, pa.binary())


class SheetReader:
    """Reads a sheet; see `RecordReader`."""

    levels: Mapping[str, int] = NO_LEVELS
    extra_dates = True

    def __init__(
        self,
        sheet: Sheet,
        headers: tuple[str, ...],
        first_row: int,
        decimals: Sequence[str],
        blanks: Sequence[str],
    ) -> None:
        self._sheet = sheet
        self._decimals = decimals
        self._blanks = blanks
        self.headers = headers
        # A row is numbered as the sheet has it, from 1.
        self.first_record = first_row

    async def read(self) -> AsyncGenerator[ReadRecords, None]:
        rows = chain(self._sheet.head[self.first_record :], self._sheet.rest)
        batch_rows = max(BATCH_CELLS // len(self.headers), 1)
        while batch := await asyncio.to_thread(list, islice(rows, batch_rows)):
            yield self._task(batch)

    def _task(self, rows: Sequence[Sequence[Any]]) -> ReadRecords:
        return lambda: SheetRecords(rows, self._decimals, self._blanks)


def is_workbook(names: Sequence[str]) -> bool:
    """Whether the members of an archive are those of an Excel workbook (ECMA-376, part 2)."""
    return "[Content_Types].xml" in names and any(name.startswith("xl/") for name in names)


def read_sheets(archive: zipfile.ZipFile) -> Iterator[Sheet]:
    """Yield the visible sheets that have cells; to be called in a thread.

    Raises:
        Unreadable: The workbook is too large, damaged, or encrypted, or the reader is missing.
    """
    try:
        import python_calamine as calamine  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise Unreadable(f"expected text, got an Excel workbook: {INSTALL} reads it") from error
    copy = _checked_copy(archive)
    try:
        workbook = calamine.CalamineWorkbook.from_filelike(copy)
        for about in workbook.sheets_metadata:
            is_shown = about.visible == calamine.SheetVisibleEnum.Visible
            if is_shown and about.typ == calamine.SheetTypeEnum.WorkSheet:
                sheet = workbook.get_sheet_by_name(about.name)
                if sheet.height:
                    rows = iter(sheet.iter_rows())
                    head = list(islice(rows, HEADER_RECORDS))
                    yield Sheet(name=about.name, head=head, rest=rows)
    except (calamine.CalamineError, ValueError, OSError) as error:
        raise Unreadable(f"expected an Excel workbook, got: {str(error)[:200]}") from error


def _checked_copy(archive: zipfile.ZipFile) -> io.BytesIO:
    """Copy a workbook without pictures, so that no part is longer than its directory says.

    Raises:
        Unreadable: It is too large or damaged.
    """
    parts = check_parts(archive)
    shared = (one for one in parts if one.filename.startswith(SHARED_TEXTS))
    limits = SheetLimits(b"".join(read_part(archive, one) for one in shared))
    copy = io.BytesIO()
    with zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as checked:
        for one in parts:
            data = read_part(archive, one)
            if one.filename.startswith(SHEETS):
                limits.add(data)
                data = with_errors_as_texts(data)
            checked.writestr(one.filename, data)
    copy.seek(0)
    return copy


def open_sheet(sheet: Sheet, candidates: Sequence[Candidate], context: FormatContext) -> Opened:
    """Find the entry whose header a sheet has.

    Raises:
        FileRefusedError: No entry takes it.
    """
    for candidate in candidates:
        layout = candidate.layout
        found = _header(sheet, layout)
        if found is None or not layout.is_known_by(map(header_form, found[0])):
            continue
        headers, first_row = found
        if len(headers) > context.max_columns:
            raise FileRefusedError(
                f"expected at most {context.max_columns} columns, got {len(headers)}"
            )
        numeric = numeric_forms(context.shop, layout)
        decimals = [
            layout.numbers.decimal if header_form(one) in numeric else "." for one in headers
        ]
        reader = SheetReader(sheet, headers, first_row, decimals, layout.blanks)
        return Opened(candidate=candidate, reader=reader)
    raise FileRefusedError(UNKNOWN_HEADER)


def has_columns(sheet: Sheet, layout: FileLayout, context: FormatContext) -> bool:
    """Whether a sheet has every column that an entry asks for."""
    found = _header(sheet, layout)
    if found is None:
        return False
    forms = set(map(header_form, found[0]))
    wanted = wanted_headers(context.shop, layout)
    return layout.is_known_by(forms) and all(not forms.isdisjoint(one) for one in wanted)


def _header(sheet: Sheet, layout: FileLayout) -> tuple[tuple[str, ...], int] | None:
    """Find the header of a sheet, and the number of the first row behind it, from 0."""
    for number, row in enumerate(sheet.head):
        cells = tuple(text_of_cell(cell) or "" for cell in row)
        if not any(cells):
            continue
        if layout.columns:
            return layout.columns, number
        if layout.begins is None or header_form(layout.begins) in map(header_form, cells):
            return cells, number + 1
    return None
