"""The sheet of a repair: rejected rows in the supplier's columns, as CSV for a spreadsheet.

    shopkpi_id, shopkpi_row, shopkpi_reason, the file's own columns, shopkpi_extra_1 ...

`shopkpi_id` is the source's id, the row and a digest of the row's bytes: it shows whether a
corrected row is still that of its file. A row with more cells than the header has the others in the
columns `shopkpi_extra_N`.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.clean.rejects import RejectedRow
from worker.cli.sanitize import spreadsheet_cell
from worker.errors import ConfigError
from worker.maintenance.repair.cells import Form, shown, split_record
from worker.maintenance.repair.corrected_rows import CorrectedRow

ID, ROW, REASON, EXTRA = "shopkpi_id", "shopkpi_row", "shopkpi_reason", "shopkpi_extra_"

BYTE_ORDER_MARK = "\ufeff"
"""At the beginning of the file: Excel takes it for UTF-8 by this alone."""

DELIMITERS = ",;\t"
"""That spreadsheets save a CSV file with."""

_ID = re.compile(r"([0-9a-f]{16})-([0-9]+)-([0-9a-f]{16})")

_MANGLED = re.compile(r"[+-]?0[0-9]+|[0-9]{16,}|[0-9]+[eE][0-9]+")
"""Digits that a spreadsheet would not leave as they are: leading zeros, more than 15 digits, and
what looks like an exponent."""


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A sheet that a person has corrected.

    Attributes:
        source_id: The source object of its rows.
        headers: Columns of the source object.
        rows: The rows.
    """

    source_id: str
    headers: tuple[str, ...]
    rows: list[CorrectedRow]


def write_sheet(path: Path, source_id: str, form: Form, rejects: Sequence[RejectedRow]) -> None:
    """Write rejects into a new file that only its owner may read.

    Raises:
        ConfigError: There is a file of the name, which may have somebody's corrections; or it
            cannot be written.
    """
    cells = [[shown(cell) for cell in split_record(one.raw, form)] for one in rejects]
    width = max(map(len, cells), default=0)
    extra = [f"{EXTRA}{number}" for number in range(1, width - len(form.headers) + 1)]
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConfigError(
            "there is a file of this name, which may have corrections",
            url=path,
            option="--repair",
            hint="name another, or delete it",
        ) from error
    except OSError as error:
        raise ConfigError(
            f"it cannot be written: {error.strerror}", url=path, option="--repair"
        ) from error
    with open(descriptor, "w", encoding="utf-8", newline="") as file:  # noqa: PTH123  (a descriptor)
        file.write(BYTE_ORDER_MARK)
        writer = csv.writer(file)
        writer.writerow([ID, ROW, REASON, *map(_safe, form.headers), *extra])
        for one, of_row in zip(rejects, cells, strict=True):
            padded = [*of_row, *[""] * (len(form.headers) + len(extra) - len(of_row))]
            name = f"{source_id}-{one.row}-{one.digest}"
            writer.writerow([name, one.row, "; ".join(one.reasons), *map(_safe, padded)])


def read_sheet(path: Path) -> Sheet:
    """Read a sheet.

    Raises:
        ConfigError: It is no sheet of a repair; the message names the first line that is wrong.
    """
    lines = _lines(path)
    _, header = next(lines, (0, []))
    if [one.strip() for one in header[:3]] != [ID, ROW, REASON]:
        raise ConfigError(
            "it is no sheet of a repair",
            url=path,
            expected=f"a header that begins with {ID}, {ROW}, {REASON}",
            actual="another one" if header else "an empty file",
            hint="`shopkpi rejects SOURCE --repair FILE` writes one",
        )
    columns = header[3:]
    headers = tuple(_plain(one) for one in columns if not re.fullmatch(f"{EXTRA}[0-9]+", one))
    rows: list[CorrectedRow] = []
    seen: dict[int, int] = {}
    sources: dict[str, None] = {}
    for line, fields in lines:
        if not any(field.strip() for field in fields):
            continue  # spreadsheets leave rows of empty cells where rows were deleted
        source_id, row = _read_row(path, line, fields, len(header))
        if row.row in seen:
            raise ConfigError(
                f"line {line}: row {row.row} is in line {seen[row.row]} already",
                url=path,
                hint="leave one of them",
            )
        seen[row.row] = line
        sources[source_id] = None
        rows.append(row)
    if not rows:
        raise ConfigError("it has no rows", url=path)
    if len(sources) > 1:
        raise ConfigError(
            "it has rows of several source objects",
            url=path,
            expected="rows of one",
            actual=", ".join(sources),
            hint="repair each with a sheet of its own",
        )
    return Sheet(source_id=next(iter(sources)), headers=headers, rows=rows)


def _read_row(path: Path, line: int, fields: list[str], width: int) -> tuple[str, CorrectedRow]:
    found = _ID.fullmatch(fields[0].strip())
    if found is None:
        raise ConfigError(
            f"line {line}: {ID} was changed",
            url=path,
            expected="it as `rejects --repair` wrote it",
            actual="another value",
            hint="leave it as it is: it says which row is corrected",
        )
    source_id, row, digest = found.groups()
    if fields[1].strip() != row:
        raise ConfigError(
            f"line {line}: {ROW} was changed",
            url=path,
            expected=row,
            actual=fields[1].strip() if fields[1].strip().isdecimal() else "another value",
            hint=f"{ID} and {ROW} say which row is corrected; leave both as they are",
        )
    if len(fields) > width and any(fields[width:]):
        raise ConfigError(
            f"line {line}: a row does not have the columns of the sheet",
            url=path,
            expected=f"{width} cells",
            actual=str(len(fields)),
            hint="was it saved with another delimiter, or without quotes?",
        )
    # Some spreadsheets leave empty cells at the end out.
    cells = [*fields[3:width], *[""] * (width - len(fields))]
    return source_id, CorrectedRow(
        line=line, row=int(row), digest=digest, cells=tuple(map(_plain, cells))
    )


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the cells of each line of a sheet."""
    try:
        data = path.read_bytes()
        text = data.decode("utf-8").removeprefix(BYTE_ORDER_MARK)
    except OSError as error:
        raise ConfigError(f"it cannot be read: {error.strerror}", url=path) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            "it is no UTF-8",
            url=path,
            expected="CSV in UTF-8",
            actual=f"another byte at offset {error.start}",
            hint="save it as `CSV UTF-8`",
        ) from error
    first = re.search(f'{ID}"?([{DELIMITERS}])', text[:100])
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=first[1] if first else ",")
    try:
        for fields in reader:
            yield reader.line_num, fields
    except csv.Error as error:
        raise ConfigError(f"line {reader.line_num}: {error}", url=path) from error


def _safe(text: str) -> str:
    """Write a cell that no spreadsheet takes for a formula, or for a number of other digits."""
    safe = spreadsheet_cell(text)
    return f"'{text}" if safe == text and _MANGLED.fullmatch(text) else safe


def _plain(text: str) -> str:
    """Take the apostrophe away that `_safe` put before a cell."""
    return text.removeprefix("'")
