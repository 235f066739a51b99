"""Codes of reject reasons."""

from __future__ import annotations

import enum


class Reason(enum.StrEnum):
    """Code of a reject reason in receipts, rejects and metrics."""

    MISSING_VALUE = "missing_value"
    """A required column is empty."""

    WRONG_TYPE = "wrong_type"
    """The text is not an integer, UUID, decimal or timestamp of the contract's kind."""

    OUT_OF_RANGE = "out_of_range"
    """A number below the contract's `min` or above its `max`, or a day no calendar can show."""

    NOT_ALLOWED = "not_allowed"
    """A text that is not one of the contract's `allowed`."""

    TOO_LONG = "too_long"
    """A text of more bytes than the contract's `max_bytes`."""

    UNDECODABLE = "undecodable"
    """Bytes that are not UTF-8."""

    WRONG_COLUMN_COUNT = "wrong_column_count"
    """More or fewer columns than the header."""

    MALFORMED_QUOTES = "malformed_quotes"
    """A quote that is never closed, or text behind a closing quote."""

    MALFORMED_JSON = "malformed_json"
    """No object of JSON."""

    RECORD_TOO_LONG = "record_too_long"
    """More bytes than the contract's `max_record_bytes`."""
