"""Files of a raw object for the recount, by the library of their format and nothing else.

Text is read by `worker.recount` itself. Parquet is read by PyArrow and a workbook by
python-calamine: no second reader of them is in the standard library.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date, datetime, time
from functools import partial
from itertools import islice
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from worker.maintenance.raw_bytes import READ_BYTES, TEXT, RawBytes, blocks_of
from worker.recount.shop.contract import Entry, Shop
from worker.recount.shop.files import read_table
from worker.recount.shop.numbers import NumberText
from worker.recount.shop.texts import (
    HEADER_RECORDS,
    NotCountedError,
    Record,
    RefusedError,
    Table,
    is_blank,
    wanted_headers,
)
from worker.recount.values import fold
from worker.validate.codecs import PARQUET
from worker.validate.input_names import is_ignored

BATCH_ROWS = 10_000
"""Rows of a Parquet file that are converted at once."""

Cell = Any
"""Value of a cell of a workbook."""


def open_tables(shop: Shop, raw: RawBytes) -> Iterator[Table]:
    """Yield the files of a raw object: itself, members of an archive, sheets of a workbook.

    Raises:
        RefusedError: The contract does not fit.
        NotCountedError: The recount does not read it.
    """
    if raw.format == TEXT:
        yield read_table(shop, _entries(shop, raw.key), raw.key, partial(blocks_of, raw.file))
    elif raw.format == PARQUET:
        yield _parquet_table(shop, _entries(shop, raw.key), raw)
    else:
        try:
            archive = zipfile.ZipFile(raw.file)
            names = archive.namelist()
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            raise NotCountedError("a damaged archive") from error
        is_workbook = "[Content_Types].xml" in names
        yield from (_sheets if is_workbook else _members)(shop, raw, archive)


def _entries(shop: Shop, *paths: str) -> list[Entry]:
    """Return the entries that may take a file, by the first path that one matches."""
    for path in paths:
        if found := shop.entries_for(path):
            return found
    raise RefusedError("no entry of [[files]] matches")


def _members(shop: Shop, raw: RawBytes, archive: zipfile.ZipFile) -> Iterator[Table]:
    for member in archive.infolist():
        if not member.is_dir() and not is_ignored(member.filename):
            path = f"{raw.key}/{member.filename}"
            entries = _entries(shop, path, raw.key)
            blocks = partial(_member_blocks, archive, member)
            yield read_table(shop, entries, path, blocks)


def _member_blocks(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    try:
        with archive.open(member) as file:
            while block := file.read(READ_BYTES):
                yield block
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise NotCountedError("a damaged or encrypted archive") from error


# ---- Parquet


def _parquet_table(shop: Shop, entries: Sequence[Entry], raw: RawBytes) -> Table:
    try:
        file = pq.ParquetFile(raw.file)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise NotCountedError("a damaged Parquet file") from error
    paths = {fold(path): path for path in _paths(file.schema_arrow)}
    entry = _fitting(shop, entries, paths.keys())
    wanted = {one for headers in wanted_headers(shop, entry) for one in headers} & paths.keys()
    wanted |= {one for one in paths if "currency" in one}
    return Table(
        entry=entry,
        names=shop.names_in(entry, raw.key),
        headers=frozenset(paths),
        records=_parquet_records(file, {one: paths[one] for one in sorted(wanted)}),
        dates=(*entry.dates, "iso"),
    )


def _paths(fields: Iterable[pa.Field], above: str = "") -> Iterator[str]:
    """Yield the dotted paths of columns."""
    for field in fields:
        if pa.types.is_struct(field.type):
            yield from _paths(field.type, f"{above}{field.name}.")
        else:
            yield f"{above}{field.name}"


def _parquet_records(file: pq.ParquetFile, paths: dict[str, str]) -> Iterator[Record]:
    for batch in file.iter_batches(BATCH_ROWS, columns=list(paths.values())):
        columns = {}
        for form, path in paths.items():
            column: Any = batch
            for name in path.split("."):
                column = (
                    column.column(name) if column is batch else column.flatten()[_at(column, name)]
                )
            columns[form] = _texts(column)
        for at in range(batch.num_rows):
            yield Record({form: texts[at] for form, texts in columns.items()})


def _at(column: pa.StructArray, name: str) -> int:
    return int(column.type.get_field_index(name))


def _texts(column: pa.Array) -> list[str | None]:
    """Write the values of a column as texts."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _texts(column.dictionary_decode())
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us", tz=kind.tz), safe=False)
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if is_number:
        texts = column.cast(pa.string()).to_pylist()
        return [None if one in (None, "nan") else NumberText(one) for one in texts]
    return [_text(value) for value in column.to_pylist()]


# ---- workbooks


def _sheets(shop: Shop, raw: RawBytes, archive: zipfile.ZipFile) -> Iterator[Table]:
    archive.close()
    sheets = _read_sheets(raw)
    named = {
        name: rows
        for name, rows in sheets.items()
        if any("/" in one.match for one in shop.entries_for(f"{raw.key}/{name}"))
    }
    for name, rows in named.items():
        path = f"{raw.key}/{name}"
        yield _sheet_table(shop, shop.entries_for(path), path, rows)
    if not named:
        entries = _entries(shop, raw.key)
        fitting = [rows for rows in sheets.values() if _fits(shop, entries, rows)]
        if len(fitting) != 1:
            raise RefusedError("not one sheet that has the columns")
        yield _sheet_table(shop, entries, raw.key, fitting[0])


def _read_sheets(raw: RawBytes) -> dict[str, list[list[Cell]]]:
    """Return the rows of the visible sheets that have some, by name."""
    try:
        import python_calamine as calamine  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise NotCountedError("a workbook without python-calamine") from error
    raw.file.seek(0)
    workbook = calamine.CalamineWorkbook.from_filelike(_with_errors(raw.file))
    shown = [
        about.name
        for about in workbook.sheets_metadata
        if about.visible == calamine.SheetVisibleEnum.Visible
        and about.typ == calamine.SheetTypeEnum.WorkSheet
    ]
    sheets = {name: list(workbook.get_sheet_by_name(name).iter_rows()) for name in shown}
    return {name: rows for name, rows in sheets.items() if rows}


ERROR = "\udcff"
"""Before an error of a cell: no text has a half of a surrogate pair alone."""


def _with_errors(file: IO[bytes]) -> IO[bytes]:
    """Copy a workbook with errors of cells as texts: python-calamine drops them."""
    copy = io.BytesIO()
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(copy, "w") as made:
        for part in archive.infolist():
            data = archive.read(part)
            if part.filename.startswith("xl/worksheets/"):
                data = re.sub(rb"<[^<>]*\bt=[\"']e[\"'][^<>]*>", _as_text, data)
            made.writestr(part.filename, data)
    copy.seek(0)
    return copy


def _as_text(tag: re.Match[bytes]) -> bytes:
    return re.sub(rb"\bt=[\"']e[\"']", b't="str"', tag[0])


def _cell_text(value: Cell, blanks: Collection[str]) -> str | None:
    """Write a value as a text; an error is none, unless it is a word for no value."""
    text = _text(value)
    is_error = isinstance(value, str) and bool(re.fullmatch("#[A-Z0-9_/]+[!?]?", value))
    if text is None or not is_error or value.rstrip("!?") not in ERRORS:
        return text
    return text if fold(value) in blanks else ERROR + text


ERRORS = (
    *("#NULL", "#DIV/0", "#VALUE", "#REF", "#NAME", "#NUM", "#N/A", "#GETTING_DATA", "#SPILL"),
    *("#CALC", "#FIELD", "#BLOCKED", "#CONNECT", "#UNKNOWN", "#BUSY", "#PYTHON"),
)
"""Errors of Excel, without the mark behind them."""


def _fits(shop: Shop, entries: Sequence[Entry], rows: list[list[Cell]]) -> bool:
    try:
        _sheet_header(shop, entries, rows)
    except RefusedError:
        return False
    return True


def _sheet_table(shop: Shop, entries: Sequence[Entry], path: str, rows: list[list[Cell]]) -> Table:
    entry, header, first = _sheet_header(shop, entries, rows)
    return Table(
        entry=entry,
        names=shop.names_in(entry, path),
        headers=frozenset(map(fold, header)),
        records=_sheet_records(header, rows[first:], entry.blanks),
        dates=(*entry.dates, "iso"),
    )


def _sheet_header(
    shop: Shop, entries: Sequence[Entry], rows: list[list[Cell]]
) -> tuple[Entry, list[str], int]:
    """Find the entry that fits a sheet, its header, and the number of the first row behind it."""
    for entry in entries:
        for number, row in enumerate(islice(rows, HEADER_RECORDS)):
            cells = [_text(cell) or "" for cell in row]
            if is_blank(cells):
                continue
            is_header = entry.begins is None or fold(entry.begins) in map(fold, cells)
            header = list(entry.columns) or cells
            if (entry.columns or is_header) and _has(shop, entry, set(map(fold, header))):
                return entry, header, number if entry.columns else number + 1
            if entry.columns or is_header:
                break
    raise RefusedError("no entry of [[files]] fits the header")


def _sheet_records(
    header: list[str], rows: Iterable[list[Cell]], blanks: Collection[str]
) -> Iterator[Record]:
    forms = [fold(cell) for cell in header]
    for row in rows:
        texts = [_cell_text(cell, blanks) for cell in row[: len(forms)]]
        cells = [text or "" for text in texts]
        if not is_blank(cells) and cells != header:
            yield Record(dict(zip(reversed(forms), reversed(texts), strict=False)))


# ---- both


def _fitting(shop: Shop, entries: Sequence[Entry], forms: Iterable[str]) -> Entry:
    known = set(forms)
    found = next((one for one in entries if _has(shop, one, known)), None)
    if found is None:
        raise RefusedError("no entry of [[files]] fits the columns")
    return found


def _has(shop: Shop, entry: Entry, forms: set[str]) -> bool:
    return all(not forms.isdisjoint(headers) for headers in wanted_headers(shop, entry))


def _text(value: Cell) -> str | None:
    """Write one typed value as a text: dates as ISO 8601, numbers as such."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, float | int):
        # A workbook has no integers: 1001 is a double.
        text = NumberText(int(value) if value == int(value) else repr(value))
    elif isinstance(value, date | time):
        text = value.isoformat(sep=" ") if isinstance(value, datetime) else value.isoformat()
    elif isinstance(value, bytes):
        text = value.decode("utf-8", "surrogateescape")
    else:
        text = str(value)
    return text
