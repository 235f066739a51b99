"""Rows that a person has corrected, as a sheet has them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class CorrectedRow:
    """One row of a sheet.

    Attributes:
        line: Of the sheet, for messages.
        row: Row of the source object; its header is row 1.
        digest: `RejectedRow.digest` of the bytes that the sheet was made of.
        cells: Its cells, as many as the sheet has columns.
    """

    line: int
    row: int
    digest: str
    cells: tuple[str, ...]
