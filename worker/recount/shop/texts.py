"""Files of text: their encoding, their delimiter, their header, their records."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from worker.recount.records import Dialect, read_lines, split_records
from worker.recount.shop.contract import Dataset, Entry, Shop
from worker.recount.values import BLANKS, fold

DELIMITERS = ",;\t|"
"""Those that are recognised by themselves."""

HEADER_RECORDS = 200
"""First records of a file, among which its header is."""


OpenText = Callable[[], Iterable[bytes]]
"""Returns the bytes of a file, from the first; it may be called again."""


class RefusedError(Exception):
    """The file cannot be read by the contract."""


class NotCountedError(Exception):
    """The recount has no second implementation of something that a file has."""


@dataclass(frozen=True)
class Record:
    """One record of a file.

    Attributes:
        cells: Folded header -> text; None for a record that cannot be divided into cells.
        lists: Of JSON, how many of the lists within each other have an element in the record.
    """

    cells: Mapping[str, str | None] | None
    lists: int = 0


@dataclass(frozen=True, kw_only=True)
class Table:
    """The records of a file.

    Attributes:
        entry: What the contract says of it.
        names: Texts of its path.
        headers: Folded.
        records: Without blank ones and repeated headers.
        levels: Of JSON, folded header -> number of the list whose elements have it.
        dates: Forms of dates.
    """

    entry: Entry
    names: Mapping[str, str]
    headers: frozenset[str]
    records: Iterable[Record]
    levels: Mapping[str, int] = field(default_factory=dict)
    dates: Sequence[str] = ()


def decode(blocks: Iterable[bytes], encoding: str | None) -> Iterator[bytes]:
    """Decode a file to UTF-8 without its byte order mark.

    Bytes that the encoding does not know stay as they are, and are no text of UTF-8.
    """
    decoder: codecs.IncrementalDecoder | None = None
    is_first = True
    for block in blocks:
        data = block
        if is_first and encoding is None and data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            encoding = "utf-16"
        if is_first and encoding is not None:
            decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")
        if decoder is not None:
            data = decoder.decode(data).encode("utf-8", "surrogateescape")
        yield data.removeprefix(codecs.BOM_UTF8) if is_first else data
        is_first = False
    if decoder is not None:
        yield decoder.decode(b"", True).encode("utf-8", "surrogateescape")


def wanted_headers(shop: Shop, entry: Entry) -> list[tuple[str, ...]]:
    """List the headers that a file must have, folded; of each tuple one (rule 25)."""
    wanted: list[tuple[str, ...]] = []
    for name in entry.feeds:
        for column in shop.tables[name].columns.values():
            wanted += [column.headers] if column.headers else []
            wanted += [(header,) for header in column.join]
            wanted += [(header,) for condition in column.when for header in condition]
    wanted += [(header,) for header in (*entry.merged, *([entry.fill] if entry.fill else []))]
    wanted += [
        (header,) for only in entry.only.values() for condition in only for header in condition
    ]
    wanted += [(header,) for header in entry.known_by]
    return [
        tuple(map(fold, headers))
        for headers in dict.fromkeys(wanted)
        if not any(header.startswith("{") for header in headers)
    ]


def read_text_table(shop: Shop, entries: Sequence[Entry], path: str, open_text: OpenText) -> Table:
    """Read a file of text with a delimiter.

    Args:
        shop: Contract.
        entries: Those that may take the file, in order.
        path: Of the file.
        open_text: Returns the blocks of the file, from the first.

    Raises:
        RefusedError: No entry fits.
    """
    for entry in entries:
        lines = list(islice(read_lines(decode(open_text(), entry.encoding)), HEADER_RECORDS * 50))
        found = _find_header(shop, entry, lines)
        if found is None:
            continue
        dialect, header, skipped = found
        records = split_records(
            read_lines(decode(open_text(), entry.encoding)), dialect, shop.max_record_bytes
        )
        return Table(
            entry=entry,
            names=shop.names_in(entry, path),
            headers=frozenset(map(fold, header)),
            records=_rows(records, header, skipped),
            dates=entry.dates,
        )
    raise RefusedError("no entry of [[files]] fits the header")


def _find_header(
    shop: Shop, entry: Entry, lines: Sequence[bytes]
) -> tuple[Dialect, list[str], int] | None:
    """Find the delimiter that yields every column: dialect, header, records up to the header."""
    wanted = wanted_headers(shop, entry)
    found = []
    for delimiter in entry.delimiter or DELIMITERS:
        dialect = Dialect(delimiter, is_quoted=bool(entry.quote), escape=entry.escape)
        header = _header(entry, split_records(lines, dialect, shop.max_record_bytes))
        if header is not None and all(
            any(one in map(fold, header[0]) for one in headers) for headers in wanted
        ):
            found.append((dialect, *header))
    wide = [one for one in found if len(one[1]) > 1]
    if len(wide) > 1:
        raise RefusedError("two delimiters yield every column")
    if not found:
        return None
    chosen = (wide or found)[0]
    _check_once(chosen[1], wanted)
    return chosen


def _check_once(header: Sequence[str], wanted: Sequence[tuple[str, ...]]) -> None:
    """Refuse a header in which a column that is read stands twice (rule 25)."""
    forms = [fold(cell) for cell in header]
    if any(forms.count(one) > 1 for headers in wanted for one in headers):
        raise RefusedError("a header stands twice")


def _header(entry: Entry, records: Iterable[list[str] | None]) -> tuple[list[str], int] | None:
    """Find the header among the first records, and how many records end with it."""
    for number, cells in enumerate(islice(records, HEADER_RECORDS)):
        if not cells or is_blank(cells) or _is_declaration(cells):
            continue
        if entry.columns:
            return (list(entry.columns), number) if len(cells) == len(entry.columns) else None
        if entry.begins is None or fold(entry.begins) in map(fold, cells):
            return cells, number + 1
    return None


def is_blank(cells: Sequence[str]) -> bool:
    """Return whether a record has no value; NUL and Ctrl-Z, the end of a file of DOS, are none."""
    return not any(cell.strip(f"{BLANKS}\0\x1a") for cell in cells)


def _is_declaration(cells: Sequence[str]) -> bool:
    """Return whether a record is the line `sep=;` of a spreadsheet."""
    text = "".join(cells).strip(f'{BLANKS}"').lower()
    return text.startswith("sep=") and len(text) <= len("sep=;")


def _rows(
    records: Iterator[list[str] | None], header: Sequence[str], skipped: int
) -> Iterator[Record]:
    forms = [fold(cell) for cell in header]
    for number, cells in enumerate(records):
        if number < skipped or (cells is not None and (is_blank(cells) or cells == header)):
            continue
        if cells is None or len(cells) != len(forms):
            yield Record(None)
        else:
            # Of a header that stands twice, the first counts.
            yield Record(dict(zip(reversed(forms), reversed(cells), strict=True)))


def used_headers(dataset: Dataset) -> set[str]:
    """Name the headers that make the values of a dataset, folded."""
    return {fold(header) for column in dataset.columns.values() for header in column.read}
