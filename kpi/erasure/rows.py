"""Erase customers from clean rows: replace their ids by pseudonyms, or delete their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.erasure.digests import Digests, Found, pseudonyms_as
from kpi.kernels.arrays import Mask
from kpi.kernels.masks import booleans

NEVER = -(2**63)
"""Instant before every other, in microseconds since 1970."""

FOREVER = 2**63 - 1
"""Instant after every other; that of a row without one."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where the rows of a dataset name a customer.

    Attributes:
        customers: Columns with ids of customers.
        order: Column with the order of a row; None for none.
        created: Column with the instant of a row; None for none.
        texts: Columns of free texts that no KPI reads; a customer's are emptied.
    """

    customers: tuple[str, ...] = ()
    order: str | None = None
    created: str | None = None
    texts: tuple[str, ...] = ()

    @property
    def read(self) -> list[str]:
        """Columns that show whether a row is of a customer."""
        wanted = (*self.customers, self.order, self.created)
        return [name for name in dict.fromkeys(wanted) if name is not None]


@dataclass(frozen=True, kw_only=True)
class Subjects:
    """Erased customers, and their deleted orders.

    Attributes:
        customers: Their ids.
        deleted_until: For each of them: rows up to this instant, in microseconds since 1970, are
            deleted; `NEVER` where none is.
        orders: Orders whose rows are deleted.
    """

    customers: Digests
    deleted_until: tuple[int, ...]
    orders: Digests

    @property
    def no_orders(self) -> Digests:
        """Digests of no orders."""
        return self.orders.without_any()

    def marks(self, table: pa.Table, places: Places) -> Marks:
        """Find the rows of a table that are the customers'."""
        found = {name: self.customers.find(table.column(name)) for name in places.customers}
        deleted = np.zeros(table.num_rows, bool)
        if places.order is not None:
            deleted |= self.orders.find(table.column(places.order)) >= 0
        until = np.array([*self.deleted_until, NEVER])  # -1 is nobody
        created = _instants(table, places.created)
        for of_column in found.values():
            deleted |= created <= until[of_column]
        return Marks(found=found, deleted=deleted)


@dataclass(frozen=True, kw_only=True)
class Marks:
    """Rows of a table that are erased customers'.

    Attributes:
        found: Column -> for each row the customer, or -1.
        deleted: Rows that are deleted.
    """

    found: dict[str, Found]
    deleted: Mask

    @property
    def named(self) -> Mask:
        """Rows that name a customer."""
        mask = np.zeros(len(self.deleted), bool)
        for of_column in self.found.values():
            mask |= of_column >= 0
        return mask

    @property
    def any(self) -> bool:
        return bool(self.deleted.any() or self.named.any())


@dataclass(frozen=True, kw_only=True)
class ErasedRows:
    """A table without the customers.

    Attributes:
        table: The rows that are left.
        pseudonymised: Rows among them that got a pseudonym.
        deleted: Rows that were deleted.
    """

    table: pa.Table
    pseudonymised: int = 0
    deleted: int = 0


def erase_rows(table: pa.Table, places: Places, subjects: Subjects) -> ErasedRows:
    """Erase customers from a table of clean rows."""
    if not table.num_rows:
        return ErasedRows(table=table)
    marks = subjects.marks(table, places)
    if not marks.any:
        return ErasedRows(table=table)
    kept = ~marks.deleted
    named = marks.named & kept
    for name, found in marks.found.items():
        table = _replace(table, name, _with_pseudonyms(table.column(name), found, subjects))
    if named.any():
        for name in places.texts:
            table = _replace(table, name, _emptied(table.schema.field(name), table, named))
    if not kept.all():
        table = table.filter(booleans(kept))
    return ErasedRows(table=table, pseudonymised=int(named.sum()), deleted=int(marks.deleted.sum()))


def _instants(table: pa.Table, name: str | None) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return microseconds since 1970; `FOREVER` of rows without an instant."""
    if name is None:
        return np.full(table.num_rows, FOREVER)
    return pc.cast(table.column(name), pa.int64()).fill_null(FOREVER).to_numpy()


def _with_pseudonyms(
    column: pa.ChunkedArray, found: Found, subjects: Subjects
) -> pa.ChunkedArray | pa.Array:
    rows = np.flatnonzero(found >= 0)
    if not len(rows):
        return column
    names = [subjects.customers.pseudonym(at) for at in range(len(subjects.customers.digests))]
    values = pseudonyms_as(column.type, names)
    return pc.replace_with_mask(
        column.combine_chunks(), booleans(found >= 0), values.take(pa.array(found[rows]))
    )


def _emptied(field: pa.Field, table: pa.Table, rows: Mask) -> pa.ChunkedArray:
    empty = pa.scalar(None if field.nullable else "", pa.string())
    return pc.if_else(booleans(rows), empty, table.column(field.name))


def _replace(table: pa.Table, name: str, values: pa.ChunkedArray | pa.Array) -> pa.Table:
    at = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(at), values)


def build_subjects(secret: bytes, customers: Mapping[str, int], orders: Sequence[str]) -> Subjects:
    """Build the subjects of some erasures.

    Args:
        secret: Of the ledger.
        customers: Digest of each id in hex -> `Subjects.deleted_until`.
        orders: Digests of deleted orders in hex.
    """
    return Subjects(
        customers=Digests(secret, "customer", list(map(bytes.fromhex, customers))),
        deleted_until=tuple(customers.values()),
        orders=Digests(secret, "order", list(map(bytes.fromhex, orders))),
    )
