"""Leave erased customers out of the rows that an audit reads from raw files.

A raw file may still have a customer whose clean rows have a pseudonym, or were deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

import numpy as np
import pyarrow as pa

from kpi.contract.model import ColumnType, Dataset
from kpi.erasure.digests import Found, pseudonym_texts
from kpi.erasure.places import CREATED, CUSTOMER, ORDER
from kpi.erasure.rows import FOREVER, NEVER, Subjects
from kpi.kernels.arrays import Mask
from worker.recount.rows import Row, Value

BATCH_ROWS = 4096
"""Rows whose ids are looked up at once."""


class PseudonymousRow:
    """A row in which a pseudonym is in the place of the customer's id."""

    def __init__(self, row: Row, pseudonym: Value) -> None:
        self._row = row
        self._pseudonym = pseudonym

    def value(self, name: str) -> Value:
        return self._pseudonym if name == CUSTOMER else self._row.value(name)

    def counts(self) -> bool:
        return self._row.counts()


def without_erased(rows: Iterable[Row], subjects: Subjects, dataset: Dataset) -> Iterator[Row]:
    """Yield the rows that validation would make of a file today."""
    column = dataset.columns.get(CUSTOMER)
    pseudonyms = [
        _pseudonym(subjects.customers.pseudonym(at), "string" if column is None else column.type)
        for at in range(len(subjects.customers.digests))
    ]
    for batch in _batches(rows):
        customers = subjects.customers.find(_ids(batch, CUSTOMER))
        deleted = subjects.orders.find(_ids(batch, ORDER)) >= 0
        deleted |= _is_too_old(batch, customers, subjects)
        for row, customer, is_deleted in zip(batch, customers.tolist(), deleted, strict=True):
            if not is_deleted:
                yield row if customer < 0 else PseudonymousRow(row, pseudonyms[customer])


def _pseudonym(pseudonym: bytes, kind: ColumnType) -> Value:
    number, uuid, text = pseudonym_texts(pseudonym)
    return int(number) if kind == "integer" else uuid if kind == "uuid" else text


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def _ids(rows: list[Row], name: str) -> pa.ChunkedArray:
    texts = [None if (value := row.value(name)) is None else str(value) for row in rows]
    return pa.chunked_array([pa.array(texts, pa.string())])


def _is_too_old(rows: list[Row], customers: Found, subjects: Subjects) -> Mask:
    """Return the rows that were created before a deletion of their customer."""
    until = np.array([*subjects.deleted_until, NEVER])
    created = np.full(len(rows), FOREVER)
    for at in np.flatnonzero(customers >= 0).tolist():
        value = rows[at].value(CREATED)
        if isinstance(value, datetime):
            created[at] = int(value.timestamp() * 10**6)
    return created <= until[customers]
