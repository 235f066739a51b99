"""Compute what some orders of a shop add to sums of days: at the head, and at a sequence before."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.aggregation.shop_columns import texts_of
from kpi.aggregation.shop_facts import PeriodsOf
from kpi.aggregation.shop_lines import LineColumns
from kpi.aggregation.shop_lookups import LookupTables
from kpi.aggregation.shop_orders import created_days, orders_of, waits, without_waiting
from kpi.aggregation.shop_slice import ShopSlice
from kpi.aggregation.shop_sums import sums_of_totals
from kpi.aggregation.shop_totals import shop_scheme, total_up
from kpi.aggregation.shop_versions import FileRows, key_columns, latest
from kpi.aggregation.sums import Added, customers_of_periods
from kpi.contract.shop import Shop
from kpi.kernels.hash_index import KeyIndex
from kpi.kernels.masks import booleans
from kpi.kernels.sorting import SERIAL
from kpi.mapping.clean_rows import clean_key, clean_schema
from worker.transform.catalog import Catalog
from worker.transform.clean_files import CleanFile, RowGroup, batch_row_groups
from worker.transform.kept_sums import CustomersOf
from worker.transform.key_sets import KeySet
from worker.transform.shop.columns import line_columns, order_columns
from worker.transform.shop.order_ids import find_orders
from worker.transform.shop.precedence import Precedence
from worker.transform.shop.references import Cells, References
from worker.transform.shop.snapshot import ShopSnapshot
from worker.transform.shop.versions import JOINED


@dataclass(frozen=True, kw_only=True)
class FilePart:
    """Rows of some row groups of a file, in their order."""

    file: CleanFile
    number: int
    table: pa.Table


@dataclass(frozen=True, kw_only=True)
class OrderRows:
    """Every version of some orders, and of the lines and refunds that any of them ever had.

    Attributes:
        shop: Contract.
        needed: What the KPIs need of lines.
        ids: The ids of the orders.
        parts: Dataset -> its rows; some are of other orders now.
    """

    shop: Shop
    needed: LineColumns
    ids: pa.Array
    parts: Mapping[str, Sequence[FilePart]]

    def schema(self, name: str) -> pa.Schema:
        """Return the columns of the rows of a dataset."""
        return _schema(self.shop, name, self.needed)


@dataclass(frozen=True, kw_only=True)
class ShopState:
    """What decides at a sequence which rows count, and as what.

    Attributes:
        precedence: Dataset -> order of its files.
        references: Rows that look-ups read.
    """

    precedence: Mapping[str, Precedence]
    references: References


async def read_order_rows(snapshot: ShopSnapshot, ids: pa.Array, needed: LineColumns) -> OrderRows:
    """Read everything that decides what some orders add.

    Args:
        snapshot: The clean zone.
        ids: Distinct ids of the orders.
        needed: What the KPIs need of lines.

    Raises:
        ConfigError, SourceError: As `Catalog.row_groups`.
    """
    shop, parts = snapshot.shop, {}
    for name in JOINED:
        if name in snapshot.catalogs:
            columns = _schema(shop, name, needed).names
            parts[name] = await _read(snapshot.catalogs[name].with_uncounted(), shop, ids, columns)
    return OrderRows(shop=shop, needed=needed, ids=ids, parts=parts)


async def _read(
    catalog: Catalog, shop: Shop, ids: pa.Array, columns: Sequence[str]
) -> list[FilePart]:
    dataset = shop.datasets[catalog.dataset.name]
    parts = []
    async for batch, at, table in find_orders(catalog, ids, columns):
        parts.append(_part(batch, table.select(columns).filter(booleans(at >= 0))))
    if dataset.key_by == "columns" and "order_id" not in dataset.key:
        # A row counts for an order unless a later version of it is of another.
        return await _with_keys(catalog, list(dataset.key), parts, columns)
    return parts


async def _with_keys(
    catalog: Catalog, key: list[str], parts: Sequence[FilePart], columns: Sequence[str]
) -> list[FilePart]:
    """Read every version of some rows, of any order."""
    if not any(len(part.table) for part in parts):
        return []
    rows = pa.concat_tables([part.table.select(key) for part in parts])
    index = KeyIndex(key_columns(rows, key))
    first = KeySet.of_values(pc.unique(rows.column(key[0])), catalog.limits.lookup_points)
    groups = await catalog.row_groups_holding(key[0], first)
    found = []
    for batch in batch_row_groups(groups, catalog.limits.read_rows):
        table = await batch[0].file.read(batch, list(columns))
        hit = index.find(key_columns(table, key)) >= 0
        found.append(_part(batch, table.filter(booleans(hit))))
    return found


def _part(batch: list[RowGroup], table: pa.Table) -> FilePart:
    return FilePart(file=batch[0].file, number=batch[0].number, table=table)


async def added(
    rows: OrderRows,
    state: ShopState,
    customers_of: CustomersOf,
    periods_of: PeriodsOf | None = None,
) -> Added:
    """Return what some orders add in a state.

    Args:
        rows: Their rows.
        state: What decides.
        customers_of: Makes keys of customers.
        periods_of: Makes periods of days; None where each day is one.

    Raises:
        KpiError: A sum does not fit 64 bits.
        ConfigError, SourceError: As `Catalog.row_groups`.
    """
    tables = {name: _latest(rows, name, state.precedence[name]) for name in rows.parts}
    if "refunds" in tables:
        of_orders = pc.is_in(tables["refunds"].column("order_id"), rows.ids)
        tables["refunds"] = tables["refunds"].filter(of_orders)
    cells = Cells()
    for name, table in tables.items():
        for column in state.references.large_columns(name):
            cells.add((name, column.name), texts_of(table, column.name))
    look_ups = await state.references.tables(cells)
    return await asyncio.to_thread(_added, rows, tables, look_ups, customers_of, periods_of)


def _latest(rows: OrderRows, name: str, precedence: Precedence) -> pa.Table:
    """Select the latest rows of a dataset, without those of deleted keys."""
    schema, files = rows.schema(name), []
    for part in rows.parts[name]:
        if precedence.places[part.file.upload] >= 0:
            stands_at, place = precedence.rank(part.file)
            order = (place, part.file.rank, part.number)
            table = part.table.cast(schema)
            files.append((order, FileRows(table=table, place=place, stands_at=stands_at)))
    files.sort(key=lambda one: one[0])
    return latest(rows.shop.datasets[name], [one for _, one in files], schema)


def _added(
    rows: OrderRows,
    tables: Mapping[str, pa.Table],
    look_ups: LookupTables,
    customers_of: CustomersOf,
    periods_of: PeriodsOf | None,
) -> Added:
    shop, dataset = rows.shop, rows.shop.datasets["orders"]
    table = tables["orders"]
    table, missing = look_ups.resolve(dataset, table, created_days(shop, table)[0])
    waiting = waits(shop, "orders", missing, table.num_rows)
    table, missing = without_waiting(table, missing, waiting)
    orders = orders_of(shop, table, missing, customers_of)
    every = np.ones(len(orders), bool)
    day_slice = ShopSlice(shop, orders, every, rows.needed, threading.Lock())
    day_slice.use(look_ups)
    if "refunds" in tables:
        day_slice.add_refunds(tables["refunds"])
    if "order_items" in tables:
        lines = day_slice.measure(tables["order_items"], day_slice.find(tables["order_items"]))
        if lines is not None:
            day_slice.add(lines.columns)
    facts = day_slice.facts()
    if periods_of is not None:
        facts = facts.of_periods(periods_of)
    totals = total_up(day_slice, facts, None, SERIAL)
    found = Added(sums_of_totals(shop_scheme(rows.needed), totals))
    if orders.users is not None and orders.has_user is not None:
        known = np.flatnonzero(facts.orders.counts & orders.has_user)
        periods = facts.orders.orders.day[known]
        found.customers = customers_of_periods(periods, orders.users.take(known))
    return found


def _schema(shop: Shop, name: str, needed: LineColumns) -> pa.Schema:
    """Return the columns that decide what rows of a dataset add."""
    dataset = shop.datasets[name]
    every = clean_schema(dataset)
    wanted = set(every.names)
    if name == "orders":
        wanted = set(order_columns(shop))
    elif name == "order_items":
        wanted = set(line_columns(shop, needed))
    wanted |= {*clean_key(dataset), "order_id", dataset.version or ""}
    return pa.schema([field for field in every if field.name in wanted])
