"""Leave erased customers out of the rows that an audit reads from raw files.

A raw file may still have a customer whose clean rows have a pseudonym, or were deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TypeVar

import numpy as np
import pyarrow as pa

from kpi.contract.model import ColumnType, Contract, Dataset
from kpi.erasure.digests import Found, pseudonym_texts
from kpi.erasure.places import CREATED, CUSTOMER, ORDER, places_of
from kpi.erasure.rows import FOREVER, NEVER, Places, Subjects
from kpi.kernels.arrays import Mask
from worker.recount.rows import Row, Value
from worker.recount.shop.dates import Moment
from worker.recount.shop.rows import Row as ShopRow

T = TypeVar("T")

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


def without_erased_of_shop(
    rows: Iterable[tuple[str, ShopRow]], subjects: Subjects, contract: Contract
) -> Iterator[tuple[str, ShopRow]]:
    """Yield the rows of datasets that validation by a contract of language 2 would make today."""
    for batch in _batches(rows):
        for name in dict.fromkeys(name for name, _ in batch):
            of_dataset = [row for dataset, row in batch if dataset == name]
            places = places_of(name, of_dataset[0].values.keys(), contract)
            yield from ((name, row) for row in _erased(of_dataset, places, subjects))


def _erased(rows: list[ShopRow], places: Places, subjects: Subjects) -> Iterator[ShopRow]:
    columns = {
        name: pa.array([_plain(row.values[name]) for row in rows], _type(name, places))
        for name in places.read
    }
    if not columns:
        yield from rows
        return
    marks = subjects.marks(pa.table(columns), places)
    for at, row in enumerate(rows):
        if marks.deleted[at]:
            continue
        values = dict(row.values)
        for name, found in marks.found.items():
            if found[at] >= 0:
                _, _, values[name] = pseudonym_texts(subjects.customers.pseudonym(int(found[at])))
        yield ShopRow(values, row.is_deletion)


def _plain(value: object) -> object:
    return value.microseconds if isinstance(value, Moment) else value


def _type(name: str, places: Places) -> pa.DataType:
    return pa.int64() if name == places.created else pa.string()


def _batches(rows: Iterable[T]) -> Iterator[list[T]]:
    batch: list[T] = []
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
