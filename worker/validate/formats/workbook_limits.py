"""Hold the parts of a workbook against limits before its reader holds them in memory.

The reader keeps the rectangle from the first cell to the last, and a copy of a shared text for
every cell that shows it. So a workbook of a few bytes may ask for any memory (ECMA-376, part 1).
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator

import numpy as np

from kpi.kernels.arrays import Int64s
from worker.runtime.memory_budget import MIB, READ_BLOCK_BYTES
from worker.validate.verdict import Unreadable

MAX_UNPACKED_BYTES = 100 * MIB
"""Of a workbook's parts, which are read whole."""

MAX_CELLS = 4_000_000
"""Of the sheets' rectangles from A1 to their last cells, which the reader holds: 24 bytes each."""

MAX_TEXT_BYTES = 100 * MIB
"""Of the texts that the cells show."""

MAX_ENTRIES = 10_000
"""Parts of a workbook."""

SHEETS, SHARED_TEXTS = "xl/worksheets/", "xl/sharedStrings"

_ROW_OR_CELL = re.compile(
    rb"<(?:\w+:)?(?:(row)|c)(?=[\s/>])"
    rb"(?:[^<>]*?\sr\s*=\s*[\"']([A-Za-z]{0,3})([0-9]{1,7})[\"'])?"
)
_TEXT_END = re.compile(rb"</(?:\w+:)?si\s*>|<(?:\w+:)?si\s*/>")
_NUMBER = re.compile(rb"<(?:\w+:)?v(?:\s[^<>]*)?>\s*([0-9]{1,9})\s*<")


def check_parts(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """List the parts of a workbook but its pictures.

    Raises:
        Unreadable: They are too many, or longer unpacked than is read.
    """
    parts = [one for one in archive.infolist() if not one.filename.startswith("xl/media/")]
    size = sum(one.file_size for one in parts)
    if size > MAX_UNPACKED_BYTES or len(parts) > MAX_ENTRIES:
        raise Unreadable(
            f"expected an Excel workbook of at most {MAX_UNPACKED_BYTES // MIB} MiB unpacked, got "
            f"one of {size / MIB:.0f} MiB; save its sheets as CSV"
        )
    return parts


def read_part(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> bytes:
    """Unpack a part piece by piece: no more than its directory says, whatever is in it.

    Raises:
        BadZipFile: It is not what the directory says.
    """
    data = bytearray()
    with archive.open(part) as member:
        while piece := member.read(READ_BLOCK_BYTES):
            data += piece
    return bytes(data)


class SheetLimits:
    """Adds up what the reader will hold of the sheets."""

    def __init__(self, shared: bytes) -> None:
        """Count the bytes of each shared text.

        Args:
            shared: Part of the shared texts; empty where there is none.
        """
        ends = np.array([0, *(one.end() for one in _TEXT_END.finditer(shared))], np.int64)
        self._lengths: Int64s = ends[1:] - ends[:-1]
        self._cells = 0
        self._text_bytes = 0

    def add(self, sheet: bytes) -> None:
        """Refuse a sheet whose cells are far apart, or show too much text.

        Raises:
            Unreadable: They are, or do, or those of all sheets so far.
        """
        if sheet.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise Unreadable("expected sheets in UTF-8, got one in UTF-16")
        count, last_row, last_column = 0, 0, 0
        for row, column in _places(sheet):
            count += 1
            last_row, last_column = max(last_row, row), max(last_column, column)
        self._cells += last_row * last_column
        if self._cells > MAX_CELLS:
            raise Unreadable(
                f"expected sheets of at most {MAX_CELLS} cells, got {self._cells}; save them as CSV"
            )
        self._add_texts(sheet, count)

    def _add_texts(self, sheet: bytes, cells: int) -> None:
        most = cells * int(self._lengths.max(initial=0))
        if self._text_bytes + most <= MAX_TEXT_BYTES:
            self._text_bytes += most
            return
        # A number counts as a text of that number too: what a cell is, attributes tell many ways.
        shown = np.fromiter((int(one[1]) for one in _NUMBER.finditer(sheet)), np.int64)
        shown = shown[shown < len(self._lengths)]
        self._text_bytes += int(self._lengths[shown].sum())
        if self._text_bytes > MAX_TEXT_BYTES:
            raise Unreadable(
                f"expected sheets of at most {MAX_TEXT_BYTES // MIB} MiB of text, got "
                f"{self._text_bytes / MIB:.0f} MiB; save them as CSV"
            )


def _places(sheet: bytes) -> Iterator[tuple[int, int]]:
    """Yield row and column of each cell, from 1; one that does not say it follows the last."""
    row, column = 0, 0
    numbers: dict[bytes, int] = {}
    for is_row, letters, number in _ROW_OR_CELL.findall(sheet):
        if is_row:
            row, column = int(number) if number else row + 1, 0
            continue
        column += 1
        if letters:
            if letters not in numbers:
                numbers[letters] = _column_number(letters.upper())
            row, column = int(number), numbers[letters]
        yield row, column


def _column_number(name: bytes) -> int:
    number = 0
    for letter in name:
        number = number * 26 + letter - ord("A") + 1
    return number
