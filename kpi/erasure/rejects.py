"""Erase customers from rejects, whose columns nobody could read.

A reject is the text of a record. Which of its columns is the customer's is not known for certain:
some have too few of them, others cannot be cut at all. So a reject that has the id anywhere as a
whole value loses all of its text. Its row number and its reasons stay.
"""

from __future__ import annotations

import csv
import io
import re

import numpy as np
import pyarrow as pa

from kpi.contract.folding import BLANKS
from kpi.erasure.rows import Subjects
from kpi.kernels.arrays import Mask

ERASED_TEXT = b"[erased]"
"""Text in the place of an erased one."""

DELIMITERS = ",;\t|"
"""Delimiters at which a record is cut, beside the contract's."""

MAX_TOKENS = 10_000
"""Values of one record that are looked up; a longer record loses its text if any customer was
erased, since a record of megabytes may hide a value."""

_RUNS = (
    re.compile(r"[\w.+@-]+"),
    re.compile(r"[^\W_]+"),
    re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"),
)


def mentions(raws: pa.ChunkedArray, subjects: Subjects, delimiter: str = ",") -> Mask:
    """Find the records that have the id of an erased customer, or of a deleted order, as a value.

    Args:
        raws: Raw bytes of records.
        subjects: Who is looked for.
        delimiter: Of the contract.
    """
    found = np.zeros(len(raws), bool)
    tokens: list[str] = []
    owners: list[int] = []
    for row, raw in enumerate(raws):
        values = _values(raw.as_py(), delimiter)
        if len(values) > MAX_TOKENS:
            found[row] = True
            continue
        tokens += values
        owners += [row] * len(values)
    if tokens:
        hits = subjects.customers.contains(tokens) | subjects.orders.contains(tokens)
        found[np.array(owners)[hits]] = True
    return found


def erase_texts(table: pa.Table, subjects: Subjects, delimiter: str = ",") -> tuple[pa.Table, int]:
    """Erase the texts of a table of rejects; return how many were."""
    at = table.schema.get_field_index("raw")
    raws = table.column(at)
    found = mentions(raws, subjects, delimiter)
    if not found.any():
        return table, 0
    texts = pa.chunked_array(
        [
            pa.array(
                [ERASED_TEXT if hit else raw.as_py() for raw, hit in zip(raws, found, strict=True)],
                pa.binary(),
            )
        ]
    )
    return table.set_column(at, table.schema.field(at), texts), int(found.sum())


def _values(raw: bytes, delimiter: str) -> list[str]:
    """Cut a record into everything that may be a value of it."""
    text = raw.decode("utf-8", "replace").replace("\0", "")
    values: dict[str, None] = {}
    for one in {delimiter, *DELIMITERS}:
        values |= dict.fromkeys(_cells(text, one))
    for runs in _RUNS:
        values |= dict.fromkeys(runs.findall(text))
    found = dict.fromkeys(value.strip(BLANKS) for value in values)
    lower = (value.lower() for value in found if _RUNS[2].fullmatch(value))
    return [value for value in dict.fromkeys((*found, *lower)) if value]


def _cells(text: str, delimiter: str) -> list[str]:
    cells = text.split(delimiter)
    cells += [cell.strip(BLANKS).strip("\"'") for cell in cells]
    try:
        for record in csv.reader(io.StringIO(text), delimiter=delimiter):
            cells += record
    except csv.Error:
        pass  # its quotes are damaged: the cells as they are have to do
    return cells
