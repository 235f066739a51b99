"""Find what a deletion takes with it: the customer's orders, and the days that may change.

A row that is deleted may uncover an earlier row of its key, of another customer. So the days of
every row that shares a key with a deleted one are among those that may change.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.aggregation.calendar import order_days, to_date
from kpi.contract.model import Contract
from kpi.erasure.digests import Digests, as_texts
from kpi.erasure.places import (
    CREATED,
    DATASETS_OF_CUSTOMERS,
    ORDER,
    customer_steps,
    places_of,
)
from kpi.erasure.rows import Subjects
from kpi.kernels.arrays import Mask
from kpi.kernels.masks import booleans, true
from kpi.mapping.clean_rows import DAY
from worker.clean.reader import CleanObject
from worker.maintenance.erasure.request import Found, Request
from worker.state import Entry

KEY_SEPARATOR = "\x1f"
"""Between the columns of a key that is compared as one text."""


@dataclass(kw_only=True)
class _Search:
    """What is known so far; ids and keys are texts.

    Attributes:
        aliases: Other ids of the customer.
        own: Orders with a row of the customer.
        shared: Of these, orders with a row of another customer.
        keys: Dataset -> keys of rows that are deleted.
        touched: Orders of whose rows some are deleted, or come back.
        days: Day numbers that may change.
    """

    aliases: set[str] = field(default_factory=set)
    own: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)
    keys: dict[str, set[str]] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    days: set[int] = field(default_factory=set)


async def find_related(
    request: Request, entries: Sequence[Entry], contracts: Mapping[str, Contract]
) -> Found:
    """Find the customer's other ids, and the orders and days of a deletion.

    An order of which another customer has a row is not deleted: only the customer's rows are.

    Args:
        request: Who is erased.
        entries: All entries of the ledger, as they are in effect.
        contracts: Digest -> contract of entries.

    Raises:
        SourceError: A clean object cannot be read.
    """
    scanner = _Scanner(request, entries, contracts)
    await scanner.find_aliases()
    found = Found(aliases=tuple(sorted(scanner.search.aliases)))
    if request.mode != "delete":
        return found
    await scanner.find_orders(request.subjects(found))
    digests = Digests(request.secret, "order")
    orders = tuple(sorted(map(digests.of, scanner.search.own - scanner.search.shared)))
    found = replace(found, orders=orders)
    await scanner.find_rows(request.subjects(found))
    await scanner.find_days()
    days = tuple(to_date(day).isoformat() for day in sorted(scanner.search.days))
    return replace(found, days=days)


class _Scanner:
    """Reads the columns that name customers, orders and days, several times."""

    def __init__(
        self, request: Request, entries: Sequence[Entry], contracts: Mapping[str, Contract]
    ) -> None:
        self._workspace = request.workspace
        self._contract = request.in_force.contract
        self._contracts = contracts
        self._customer = set(request.own_texts)
        self._entries = entries
        self.search = _Search()

    async def find_aliases(self) -> None:
        """Find the cells of orders that references turn into the customer's id.

        One that leads to another customer too is none of them.
        """
        steps = {
            step: None
            for contract in self._contracts.values()
            for step in customer_steps(contract.shop)
        }
        ids = self._customer
        for reference, key, value in reversed(list(steps)):
            own: set[str] = set()
            others: set[str] = set()
            async for _, table in self._tables(reference, (key, value)):
                if not {key, value} <= set(table.schema.names):
                    continue
                named = _is_in(table, value, ids)
                own |= _texts(table, key, named)
                others |= _texts(table, key, ~named)
            ids = ids | (own - others)
        self.search.aliases = ids - self._customer

    async def find_orders(self, customers: Subjects) -> None:
        """Find the orders of the customer, and which of them others have too."""
        search = self.search
        async for name, table in self._tables("orders"):
            search.own |= _texts(table, ORDER, _named(table, name, customers))
        if not search.own:
            return
        async for name, table in self._tables("orders"):
            others = _is_in(table, ORDER, search.own) & ~_named(table, name, customers)
            search.shared |= _texts(table, ORDER, others)

    async def find_rows(self, subjects: Subjects) -> None:
        """Find the rows that are deleted, and those that share a key with them."""
        search = self.search
        search.touched |= search.own
        for dataset in DATASETS_OF_CUSTOMERS:
            keys = search.keys.setdefault(dataset, set())
            async for name, table in self._tables(dataset):
                marks = await asyncio.to_thread(
                    subjects.marks, table, places_of(name, table.schema.names, None)
                )
                if marks.deleted.any():
                    search.touched |= _texts(table, ORDER, marks.deleted)
                    keys |= self._keys_of(name, table, marks.deleted)
                    search.days |= _days(table, marks.deleted, self._contract, name)
            if not keys:
                continue
            async for name, table in self._tables(dataset):
                sharing = self._sharing(name, table, keys)
                search.touched |= _texts(table, ORDER, sharing)

    async def find_days(self) -> None:
        """Find the days of the orders that are touched."""
        if not self.search.touched:
            return
        async for name, table in self._tables("orders"):
            rows = _is_in(table, ORDER, self.search.touched)
            self.search.days |= _days(table, rows, self._contract, name)

    async def _tables(
        self, dataset: str, columns: Sequence[str] = ()
    ) -> AsyncIterator[tuple[str, pa.Table]]:
        """Yield the row groups of a dataset, with some columns, or else those that matter."""
        for entry in self._entries:
            for part in entry.parts:
                name = part.dataset or entry.dataset
                if name != dataset:
                    continue
                file = CleanObject(self._workspace.store, self._workspace.stored(part.key))
                names = (await file.schema()).names
                wanted = columns
                if not wanted:
                    wanted = [*places_of(name, names, None).read, *self._key(name), DAY]
                present = [one for one in dict.fromkeys(wanted) if one in names]
                for group in range((await file.footer()).num_row_groups):
                    yield name, await file.read([group], present)

    def _key(self, dataset: str) -> tuple[str, ...]:
        """Return the columns of a dataset's key; none by contracts that publish every day."""
        if self._contract.shop is not None:
            return ()
        return self._contract.datasets[dataset].key

    def _keys(self, dataset: str, table: pa.Table) -> pa.ChunkedArray | None:
        key = self._key(dataset)
        if not key or not set(key) <= set(table.schema.names):
            return None
        texts = [as_texts(table.column(name)).fill_null("") for name in key]
        return pc.binary_join_element_wise(*texts, KEY_SEPARATOR)

    def _keys_of(self, dataset: str, table: pa.Table, rows: Mask) -> set[str]:
        keys = self._keys(dataset, table)
        return set() if keys is None else set(keys.filter(booleans(rows)).to_pylist())

    def _sharing(self, dataset: str, table: pa.Table, keys: set[str]) -> Mask:
        of_rows = self._keys(dataset, table)
        if of_rows is None:
            return np.zeros(table.num_rows, bool)
        return _matches(of_rows, keys)


def _named(table: pa.Table, dataset: str, subjects: Subjects) -> Mask:
    return subjects.marks(table, places_of(dataset, table.schema.names, None)).named


def _texts(table: pa.Table, name: str, rows: Mask) -> set[str]:
    """Return the texts of a column in some rows."""
    if name not in table.schema.names or not rows.any():
        return set()
    return set(as_texts(table.column(name).filter(booleans(rows))).drop_null().to_pylist())


def _is_in(table: pa.Table, name: str, values: set[str]) -> Mask:
    return _matches(as_texts(table.column(name)), values)


def _matches(texts: pa.ChunkedArray, values: set[str]) -> Mask:
    found = pc.is_in(texts, value_set=pa.array(sorted(values), pa.string()))
    return true(pa.concat_arrays(found.chunks)) if found.num_chunks else np.zeros(0, bool)


def _days(table: pa.Table, rows: Mask, contract: Contract, dataset: str) -> set[int]:
    """Return the days of some rows, by the contract in force."""
    if not rows.any():
        return set()
    some = table.filter(booleans(rows))
    if DAY in some.schema.names:
        return set(some.column(DAY).drop_null().to_pylist())
    if dataset != "orders" or contract.shop is not None or CREATED not in some.schema.names:
        return set()
    created = some.column(CREATED).drop_null().combine_chunks()
    return set(order_days(created, contract.business_time_zone).tolist())
