"""Codes of receipt notes: what validation changed or passed over."""

from __future__ import annotations

import enum


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

    SEPARATOR_LINE = "sep=_line"
    """A `sep=` line before the header was passed over."""
