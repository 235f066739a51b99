"""Cells of workbooks that hold an error: their rows are rejected where their column is used.

python-calamine reads them as empty cells, so a sum of a column with `#REF!` would be short in
silence. In the copy that it reads they are texts (ECMA-376, part 1, 18.18.11: cell types).
"""

from __future__ import annotations

import re
from collections.abc import Collection

from kpi.contract.folding import fold

ERRORS = frozenset(
    {"#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A", "#GETTING_DATA"}
    | {"#SPILL!", "#CALC!", "#FIELD!", "#BLOCKED!", "#CONNECT!", "#UNKNOWN!", "#BUSY!", "#PYTHON!"}
)
"""Errors of ECMA-376, part 1, 18.17.2.4, and those that Excel has had since."""

NO_TEXT = b"\xff"
"""No byte of UTF-8: a cell with it is no text."""

_ERROR_CELL = re.compile(rb"(<(?:\w+:)?c\s(?:[^<>]*?\s)?t\s*=\s*)([\"'])e\2")


def with_errors_as_texts(sheet: bytes) -> bytes:
    """Make the errors of a sheet texts."""
    if b'"e"' not in sheet and b"'e'" not in sheet:
        return sheet
    return _ERROR_CELL.sub(rb"\1\2str\2", sheet)


def is_error(text: str | None, blanks: Collection[str] = ()) -> bool:
    """Whether a text of a cell is an error that a contract does not take for no value.

    Args:
        text: Of the cell.
        blanks: Words for no value, folded.
    """
    return text is not None and text in ERRORS and fold(text) not in blanks
