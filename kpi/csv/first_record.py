"""Recognise first records that are no header: Excel's `sep=`, JSON, UTF-16, quoted lines."""

from __future__ import annotations

import codecs
import csv
import re

_SEPARATOR_LINE = re.compile(rb'(?:\xef\xbb\xbf)?"?sep=(.|\\t)"?', re.IGNORECASE | re.DOTALL)
_JSON = re.compile(rb'(?:\xef\xbb\xbf)?\s*(?:\[\s*\Z|(?:\[\s*)?\{\s*(?:"|\}|\Z))')

_MARKUP = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*<(?:(?P<xml>\?xml\b)|!doctype\s+html|html\b)", re.IGNORECASE
)

MIN_WIDE_BYTES = 8
"""Length from which bytes of zero in most places show UTF-16 or UTF-32."""


def find_separator(record: bytes) -> str | None:
    """Return the delimiter that a `sep=` line names; None where the record is none.

    Excel writes and reads this line before the header. It is no part of RFC 4180.
    """
    match = _SEPARATOR_LINE.fullmatch(record)
    if match is None:
        return None
    return "\t" if match[1] == rb"\t" else match[1].decode("latin-1")


def find_other_format(record: bytes) -> str | None:
    """Say what was expected and what came, where a first record is known to be no CSV in UTF-8."""
    if record.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "expected UTF-8, got UTF-16 (its byte order mark stands first)"
    if _is_wide(record, code_bytes=4):
        return "expected UTF-8, got UTF-32 without a byte order mark"
    if _is_wide(record, code_bytes=2):
        return "expected UTF-8, got UTF-16 without a byte order mark"
    if markup := _MARKUP.match(record):
        return f"expected CSV, got {'XML' if markup['xml'] else 'HTML'}"
    return "expected CSV, got JSON" if _JSON.match(record) else None


def unquote_line(text: str, delimiter: str) -> list[str] | None:
    """Split the only field of a header; None unless that yields several.

    Some programs quote each line as a whole, delimiters included.
    """
    try:
        fields = next(csv.reader([text], delimiter=delimiter), [])
    except csv.Error:  # it has line ends of its own
        return None
    return fields if len(fields) > 1 else None


def _is_wide(record: bytes, *, code_bytes: int) -> bool:
    """Check for zeros in all bytes of a code but its first or last: ASCII in UTF-16 or UTF-32."""
    codes = len(record) // code_bytes
    if len(record) < MIN_WIDE_BYTES:
        return False
    zeros = [record[at : code_bytes * codes : code_bytes].count(0) for at in range(code_bytes)]
    return any(min(which) > 0.9 * codes for which in (zeros[1:], zeros[:-1]))
