"""Fit a table into the width of a terminal, so that no number, date or id is broken over lines.

The first of these that fits is taken: a table with borders, one without, one without the columns
that may be left out, and at last one paragraph for each row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

UNBREAKABLE_CHARACTERS = 20
"""A cell up to this length without a blank, slash or underscore stays on one line."""

PREFERRED_CHARACTERS = 40
"""A text up to this length stays on one line where columns of a high rank can go for it."""

RANK_BELOW_BROKEN_TEXTS = 2
"""Columns of this rank and below are worth more than texts in one line."""

BORDER_GAP, PLAIN_GAP = 3, 2
"""Characters between two columns, with borders and without."""

_WORD = re.compile(r"\S+\s*")
_PIECE = re.compile(r"[^/_,;]*[/_,;]?")
_ONE_VALUE = re.compile(r"[-+]?[\d.,:%TZ+-]*|[0-9a-f]{16}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: Its header.
        is_number: Whether it holds numbers, which go to the right.
        rank: Columns of the highest rank are left out first; of rank 0 none is.
    """

    name: str
    is_number: bool
    rank: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """How a table is drawn.

    Attributes:
        columns: Positions of the columns that are drawn.
        widths: Characters of each.
        has_borders: Whether there are lines between them.
    """

    columns: tuple[int, ...]
    widths: tuple[int, ...]
    has_borders: bool


def fit(columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int) -> Layout | None:
    """Lay a table out for a width; None where not even its narrowest form fits."""
    bounds = [_bounds(column, [row[at] for row in cells]) for at, column in enumerate(columns)]
    ranks = sorted({0, *(column.rank for column in columns)}, reverse=True)
    unbroken = [
        (whole if whole <= PREFERRED_CHARACTERS else least, whole, full)
        for least, whole, full in bounds
    ]
    for of_cells, tried in (
        (unbroken, [rank for rank in ranks if rank >= RANK_BELOW_BROKEN_TEXTS]),
        (bounds, ranks),
    ):
        for rank in tried:
            chosen = tuple(at for at, column in enumerate(columns) if column.rank <= rank)
            for has_borders in (True, False):
                gaps = (
                    BORDER_GAP * len(chosen) + 1 if has_borders else PLAIN_GAP * (len(chosen) - 1)
                )
                widths = _share([of_cells[at] for at in chosen], width - gaps)
                if widths is not None:
                    return Layout(columns=chosen, widths=widths, has_borders=has_borders)
    return None


def wrap(text: str, width: int) -> str:
    """Break a text into lines: after blanks, else after one of `/_,;`, else anywhere."""
    if cell_len(text) <= width:
        return text
    lines, line = [], ""
    for word in _WORD.findall(text):
        for piece in [word] if cell_len(word.rstrip()) <= width else _pieces(word, width):
            if line and cell_len((line + piece).rstrip()) > width:
                lines.append(line.rstrip())
                line = ""
            line += piece
    return "\n".join([*lines, line.rstrip()])


def paragraphs(
    columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int
) -> list[list[str]]:
    """Write each row as a paragraph: its first value, then names with their values."""
    found = []
    for row in cells:
        lines: list[str] = []
        line = ""
        for column, cell in zip(columns[1:], row[1:], strict=True):
            pair = f"{column.name} {cell}"
            if line and cell_len(f"{line}  {pair}") > width - 2:
                lines.append(line)
                line = ""
            line = f"{line}  {pair}" if line else pair
        wrapped = [part for one in [*lines, line] for part in wrap(one, width - 2).split("\n")]
        found.append([*wrap(row[0], width).split("\n"), *(f"  {part}" for part in wrapped)])
    return found


def _bounds(column: Column, cells: Sequence[str]) -> tuple[int, int, int]:
    """Return the least width of a column, that of its whole cells, and that of its header too."""
    header = max(map(cell_len, _PIECE.findall(column.name.replace(" ", "_"))))
    least = max([header, *(_least_width(cell, column) for cell in cells)])
    whole = max([least, *map(cell_len, cells)])
    return least, whole, max(whole, cell_len(column.name))


def _least_width(cell: str, column: Column) -> int:
    if column.is_number or _ONE_VALUE.fullmatch(cell):
        return cell_len(cell)
    pieces = (piece for word in cell.split() for piece in _PIECE.findall(word))
    return min(UNBREAKABLE_CHARACTERS, max(map(cell_len, pieces), default=0))


def _share(bounds: Sequence[tuple[int, int, int]], width: int) -> tuple[int, ...] | None:
    """Give each column its least width, then the rest to cells, then to headers.

    Returns:
        The widths; None where there is no room for the least.
    """
    widths = [least for least, _, _ in bounds]
    rest = width - sum(widths)
    if rest < 0:
        return None
    for wanted in ([whole for _, whole, _ in bounds], [full for _, _, full in bounds]):
        missing = [full - width for full, width in zip(wanted, widths, strict=True)]
        for number, at in enumerate(sorted(range(len(missing)), key=missing.__getitem__)):
            more = min(missing[at], rest // (len(missing) - number))
            widths[at] += more
            rest -= more
    return tuple(widths)


def _pieces(word: str, width: int) -> list[str]:
    found = []
    for piece in _PIECE.findall(word):
        rest = piece
        while cell_len(rest.rstrip()) > width:
            end = next(at for at in range(len(rest), 0, -1) if cell_len(rest[:at]) <= max(width, 2))
            found.append(rest[:end])
            rest = rest[end:]
        found.append(rest)
    return found
