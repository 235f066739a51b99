"""Samples of files: what inference sees of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class TableSample:
    """Rows of one file, sheet or member, as its reader gives them.

    Attributes:
        name: Path below the input, with the sheet or the member behind it.
        match: Pattern of `[[files]]` that takes it.
        headers: Of its columns, in order; those of a table without headers are made up.
        columns: Cells of each column without outer blanks; empty where there is no value.
        words: Words of `[[files]]` that say how the file is written, such as `delimiter`.
        has_headers: Whether the file has headers.
        whole: Whether the rows are all rows of the file.
        rows_total: Rows of the file, as far as it was read.
        also: Further patterns that take files of this layout.
        parts: Names of the files whose rows these are, and rows of each; empty for one file.
        repeated: Columns that have each value once in these rows, but not in all of the file.
        only: Column and text of the rows that are no totals of others; empty where all are none.
        unread: Lists of objects of JSON that are not read, as a file is read for one.
        misfits: Records among those read that have another number of fields than the header.
        misfit_example: Fields of such a record, and of the header.
    """

    name: str
    match: str
    headers: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    words: Mapping[str, object] = field(default_factory=dict)
    has_headers: bool = True
    whole: bool = True
    rows_total: int = 0
    also: tuple[str, ...] = ()
    parts: tuple[tuple[str, int], ...] = ()
    repeated: frozenset[int] = frozenset()
    only: Mapping[str, str] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    misfits: int = 0
    misfit_example: tuple[int, int] = (0, 0)

    @property
    def rows(self) -> int:
        """Rows of the sample."""
        return len(self.columns[0]) if self.columns else 0
