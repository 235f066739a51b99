"""Codes of receipt notes: what validation changed or passed over."""

from __future__ import annotations

import enum
from collections.abc import Mapping


class Note(enum.StrEnum):
    """Code of a note. A receipt counts the cells of clean rows that have it, or the records."""

    TRIMMED = "trimmed"
    """A text lost its outer blanks, or was nothing but blanks and became null."""

    ROUNDED = "rounded"
    """A decimal had digits beyond its scale, and was rounded half-even."""

    NULLED = "nulled"
    """A bad value became null, in a column that is neither required nor read by a KPI."""

    DATE_ONLY = "date_only"
    """A timestamp that a KPI reads was a date, and was taken as midnight in the business zone."""

    BLANK_ROWS = "blank_rows"
    """A record had nothing but delimiters, quotes, blanks or marks of the end: it is no row."""

    NO_FINAL_LINE_END = "no_final_line_end"
    """The last record has no line end: it is whole, or the file was a copy half done."""

    PSEUDONYMISED = "pseudonymised_rows"
    """A row of an erased customer got a pseudonym in the place of the customer's id."""

    ERASED = "erased_rows"
    """A row of an erased customer was dropped."""

    ERASED_REJECTS = "erased_rejects"
    """A reject lost its text, since it has the id of an erased customer."""

    ANOTHER_DAY_AS_WRITTEN = "another_day_as_written"
    """A time counts on another day than its date as written, which all times of one place have."""

    SEPARATOR_LINE = "sep=_line"
    """A `sep=` line before the header was passed over."""


CONTRADICTING = "contradicting."
"""Before the name of a column: orders whose rows in one file have several values of it."""


def contradictions(notes: Mapping[str, int]) -> dict[str, int]:
    """Return the columns in which rows of an order differ, with the number of such orders."""
    return {
        name.removeprefix(CONTRADICTING): count
        for name, count in notes.items()
        if name.startswith(CONTRADICTING)
    }
