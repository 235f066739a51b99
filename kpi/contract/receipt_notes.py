"""Codes of receipt notes: what validation changed in the cells of clean rows."""

from __future__ import annotations

import enum


class Note(enum.StrEnum):
    """Code of a note. A receipt counts the cells of clean rows that have it."""

    TRIMMED = "trimmed"
    """A text lost its outer blanks, or was nothing but blanks and became null."""

    ROUNDED = "rounded"
    """A decimal had digits beyond its scale, and was rounded half-even."""

    NULLED = "nulled"
    """A bad value became null, in a column that is neither required nor read by a KPI."""

    DATE_ONLY = "date_only"
    """A timestamp that a KPI reads was a date, and was taken as midnight in the business zone."""
