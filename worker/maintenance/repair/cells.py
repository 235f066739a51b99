"""Separate a rejected record into the cells of a spreadsheet, and make a record of cells."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Form:
    """How the records of a source object are written.

    Attributes:
        headers: Of its columns, as they came.
        delimiter: Between fields; empty where a record is one object of JSON.
        quote: Around values; empty where quotes are plain characters.
    """

    headers: tuple[str, ...]
    delimiter: str
    quote: str = '"'


JSON_FORM = Form(headers=("record",), delimiter="")
"""Records of JSON: each is one cell, since its values have types that no spreadsheet keeps."""


def split_record(raw: bytes, form: Form) -> list[str]:
    """Separate a record into cells; bytes that are not UTF-8 become surrogates.

    A record with fewer cells than headers gets empty ones. Where quotes do not pair up, the cells
    are those that a lenient reader sees: a person puts them right.
    """
    text = raw.decode("utf-8", "surrogateescape")
    if not form.delimiter:
        return [text]
    if form.quote:
        csv.field_size_limit(2**31 - 1)
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=form.delimiter)
        cells = next(lines, [])
    else:
        cells = text.split(form.delimiter)
    return cells + [""] * (len(form.headers) - len(cells))


def join_record(cells: Sequence[str], form: Form) -> bytes | None:
    """Make a record of cells, without line end; None where the form has no way to write them."""
    if not form.delimiter:
        text = cells[0]
    elif form.quote:
        written = io.StringIO(newline="")
        csv.writer(written, delimiter=form.delimiter, lineterminator="\r\n").writerow(cells)
        text = written.getvalue().removesuffix("\r\n")
    else:
        text = form.delimiter.join(cells)
        if any(mark in cell for cell in cells for mark in (form.delimiter, "\r", "\n")):
            return None
    return text.encode("utf-8", "surrogateescape")


def shown(cell: str) -> str:
    """Return a cell as a sheet has it: bytes that are not UTF-8 as \\xNN, line ends as \\n."""
    text = cell.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def merge_cells(original: Sequence[str], corrected: Sequence[str]) -> list[str]:
    """Return the corrected cells; one that was left as it was shown has its original bytes."""
    return [
        before if shown(before) == shown(after) else after
        for before, after in zip(original, corrected, strict=True)
    ]
