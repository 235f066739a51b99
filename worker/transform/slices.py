"""Reading what a slice of days needs, and handing it to `kpi.daily`."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.contract import Contract
from kpi.daily import MICROSECONDS_A_DAY, DaySlice, Products, Totals, is_returned, order_days
from kpi.exact import distinct
from kpi.keys import Keys, Mask, concat_keys, keys_of
from kpi.tables import PRODUCT_KPIS
from worker.transform.catalog import READS_AT_ONCE, Catalog, Piece, RowGroup
from worker.transform.changes import Days, one_array
from worker.transform.versions import Versions

ORDERS_AT_ONCE = 500_000
"""Orders of a slice: about 50 MB with what is kept of their items."""

SCATTERED_AT_ONCE = 2_000_000
"""Orders of a slice where each slice has to read all items, as ids in random order make it: about
60 bytes each and 8 for each of their items."""

EPOCH_DAY = date(1970, 1, 1)


@dataclass
class Seen:
    """What transforming has seen of each piece.

    Attributes:
        matched: Latest rows of items whose order was there.
        days: Days that latest rows of the piece count on.
        stood: Days that any version of an order stands on.
    """

    matched: dict[Piece, int] = field(default_factory=lambda: defaultdict(int))
    days: dict[Piece, set[int]] = field(default_factory=lambda: defaultdict(set))
    stood: set[int] = field(default_factory=set)


@dataclass(frozen=True, kw_only=True)
class Zone:
    """Everything of a ledger state that the KPIs are a function of."""

    contract: Contract
    orders: Catalog
    items: Catalog
    products: Catalog

    @property
    def bytes_read(self) -> int:
        return self.orders.bytes_read + self.items.bytes_read + self.products.bytes_read

    @property
    def size_bytes(self) -> int:
        return sum(piece.part.size_bytes for one in self.catalogs for piece in one.pieces)

    @cached_property
    def scattered(self) -> bool:
        """Whether the items of orders that stand together may be in any row group."""
        orders, items = self.orders.row_groups(), self.items.row_groups()
        some = orders[:: len(orders) // 16 + 1]
        met = 0
        for group in some:
            found = group.range("order_id")
            met += len(items) if found is None else len(self.items.overlapping("order_id", *found))
        return 4 * met > len(some) * len(items)

    @property
    def catalogs(self) -> tuple[Catalog, Catalog, Catalog]:
        return self.orders, self.items, self.products


async def latest_products(catalog: Catalog, pieces: list[Piece]) -> tuple[pa.Array, pa.Array]:
    """Ids and categories of the latest version of each product among some pieces.

    Errors: none of its own. All products are held in memory, about 40 bytes each.
    """
    column = catalog.dataset.columns["id"]
    has_category = "category" in catalog.dataset.columns
    versions = Versions(Catalog(catalog.dataset, pieces))
    await versions.judge([group for piece in pieces for group in piece.row_groups])
    ids: list[pa.Array] = [pa.array([], column.arrow_type)]
    categories: list[pa.Array] = [pa.array([], pa.string())]
    for piece in pieces:
        for group in piece.row_groups:
            table = await piece.read([group], ["id", "category"] if has_category else ["id"])
            mask = versions.latest(group)
            if mask is not None:
                table = table.filter(pa.array(mask))
            ids.append(one_array(table.column("id")))
            texts = (
                one_array(table.column("category")).cast(pa.string())
                if has_category
                else pa.nulls(table.num_rows, pa.string())
            )
            categories.append(texts)
    return pa.concat_arrays(ids), pa.concat_arrays(categories)


def cut(days: Days, zone: Zone) -> list[Days]:
    """Cut ascending days into slices for which there is memory (a day is never cut)."""
    if len(days) == 0:
        return []
    orders = zone.orders
    limit = SCATTERED_AT_ONCE if zone.scattered else ORDERS_AT_ONCE
    low, high = int(days[0]), int(days[-1])
    estimate = np.zeros(high - low + 2)
    for group in orders.row_groups():
        found = group.range("created_at")
        first, last = (low, high) if found is None else (_day(found[0]), _day(found[1]))
        span = last - first + 1
        start, end = max(first - low, 0), min(last - low, high - low)
        if start <= end:
            estimate[start : end + 1] += group.rows / span
    total = np.cumsum(estimate[days - low])
    # As few as the memory allows, and alike: each may have to read everything.
    slices = max(math.ceil(total[-1] / limit - 0.1), 1)
    number = np.ceil(total * slices / total[-1]) if total[-1] else total
    return [part for part in np.split(days, np.flatnonzero(np.diff(number)) + 1) if len(part)]


def possible_days(orders: Catalog) -> Days:
    """Every day on which an order may stand, with a day to spare for time zones."""
    spans = [(_day(low) - 1, _day(high) + 1) for low, high in _created_ranges(orders)]
    days = [np.arange(first, last + 1, dtype=np.int32) for first, last in sorted(set(spans))]
    return distinct(np.concatenate(days)) if days else np.zeros(0, np.int32)


def _created_ranges(orders: Catalog) -> list[tuple[int, int]]:
    found = (group.range("created_at") for group in orders.row_groups())
    return [one for one in found if one is not None]


async def load(
    days: Days,
    zone: Zone,
    products: Products,
    order_versions: Versions,
    item_versions: Versions,
    tables: frozenset[str],
    seen: Seen,
) -> DaySlice:
    """Some days with their orders and items.

    Args:
        days: Ascending, days since 1970-01-01.
        zone: The state of the ledger.
        products: The latest version of every product.
        order_versions: Judges which orders are the latest.
        item_versions: Judges which items are.
        tables: KPI tables wanted.
        seen: Is told what was seen.
    """
    orders, users, of_order, returned, spans = await _orders(days, zone, order_versions, seen)
    day_slice = await asyncio.to_thread(
        DaySlice,
        contract=zone.contract,
        products=products,
        orders=orders,
        days=of_order,
        users=users,
        returned=returned,
        with_products=PRODUCT_KPIS.name in tables,
    )
    del orders  # 16 bytes each, which the slice gives back when it is closed
    if spans:
        low, high = min(span[0] for span in spans), max(span[1] for span in spans)
        groups = zone.items.overlapping("order_id", low, high)
        await item_versions.judge(groups)
        await _measure(groups, zone, item_versions, day_slice, seen)
    day_slice.close()
    return day_slice


def kpis(day_slice: DaySlice, tables: frozenset[str]) -> dict[str, pa.Table]:
    """KPI table name -> its rows for the days of a slice."""
    made = {"order_kpis": day_slice.order_kpis, "category_kpis": day_slice.category_kpis}
    made["product_kpis"] = day_slice.product_kpis
    return {name: made[name]() for name in sorted(tables)}


_Span = tuple[Any, Any]


async def _orders(
    days: Days, zone: Zone, versions: Versions, seen: Seen
) -> tuple[Keys, Keys, Days, Mask, list[_Span]]:
    """Latest orders of some days: their keys, customers, days, whether they were returned, and
    spans that hold all of their ids."""
    contract = zone.contract
    # A time zone moves an instant by less than a day.
    low = (int(days[0]) - 1) * MICROSECONDS_A_DAY
    high = (int(days[-1]) + 2) * MICROSECONDS_A_DAY
    groups = zone.orders.overlapping("created_at", low, high)
    await versions.judge(groups)
    kinds = zone.orders.dataset.columns
    columns = [name for name in ("order_id", "user_id", "created_at", "status") if name in kinds]
    first, last = int(days[0]), int(days[-1])
    wanted = np.zeros(last - first + 1, bool)
    wanted[days - first] = True

    def choose(
        table: pa.Table, mask: Mask | None
    ) -> tuple[Keys, Keys, Days, Mask, list[_Span], Days]:
        of_row = order_days(one_array(table.column("created_at")), contract.business_time_zone)
        inside = (of_row >= first) & (of_row <= last)
        inside[inside] = wanted[of_row[inside] - first]
        stood = distinct(of_row[inside])
        if mask is not None:
            inside &= mask
        if not inside.all():
            table, of_row = table.filter(pa.array(inside)), of_row[inside]
        returned = np.zeros(len(of_row), bool)
        if "status" in columns:
            returned = is_returned(one_array(table.column("status")), contract)
        ids = table.column("order_id")
        extremes = pc.min_max(ids)
        spans = [(extremes["min"].as_py(), extremes["max"].as_py())] if len(ids) else []
        return keys_of([ids]), keys_of([table.column("user_id")]), of_row, returned, spans, stood

    async def one(group: RowGroup) -> tuple[Keys, Keys, Days, Mask, list[_Span], Days]:
        async with slots:
            table = await group.piece.read([group], columns)
            found = await asyncio.to_thread(choose, table, versions.latest(group))
            seen.days[group.piece].update(np.unique(found[2]).tolist())
            seen.stood.update(found[5].tolist())
            return found

    slots = asyncio.Semaphore(READS_AT_ONCE)
    nothing = pa.table({name: pa.array([], kinds[name].arrow_type) for name in columns})
    found = [choose(nothing, None), *await asyncio.gather(*(one(group) for group in groups))]
    orders, users, of_order, returned, spans, _ = (
        list(column) for column in zip(*found, strict=True)
    )
    del found
    return (
        concat_keys(orders),
        concat_keys(users),
        np.concatenate(of_order),
        np.concatenate(returned),
        [span for some in spans for span in some],
    )


async def _measure(
    groups: list[RowGroup], zone: Zone, versions: Versions, day_slice: DaySlice, seen: Seen
) -> None:
    """Add up the latest items, some row groups at a time."""
    known = zone.items.dataset.columns
    columns = [name for name in ("product_id", "sale_price", "status", "quantity") if name in known]
    slots = asyncio.Semaphore(READS_AT_ONCE)

    async def one(group: RowGroup) -> None:
        async with slots:
            # Where most row groups are of other days, the ids alone tell so.
            first = ["order_id"] if zone.scattered else ["order_id", *columns]
            table = await group.piece.read([group], first)
            position = await asyncio.to_thread(
                lambda: day_slice.find(keys_of([table.column("order_id")]))
            )
            if zone.scattered:
                if not (position >= 0).any():
                    return
                table = await group.piece.read([group], columns)

            def add_up() -> tuple[Totals, int, Days]:
                mask, at = versions.latest(group), position
                arrays = [one_array(table.column(name)) for name in columns]
                batch = pa.RecordBatch.from_arrays(arrays, names=columns)
                if mask is not None:
                    batch, at = batch.filter(pa.array(mask)), at[mask]
                return day_slice.measure(batch, at)

            totals, matched, touched = await asyncio.to_thread(add_up)
            day_slice.add(totals)
            seen.matched[group.piece] += matched
            seen.days[group.piece].update(touched.tolist())

    await asyncio.gather(*(one(group) for group in groups))


def to_date(day: int) -> date:
    """Days since 1970-01-01 as a date."""
    return EPOCH_DAY + timedelta(days=int(day))


def to_day(when: date) -> int:
    """A date as days since 1970-01-01."""
    return (when - EPOCH_DAY).days


def _day(microseconds: int) -> int:
    return microseconds // MICROSECONDS_A_DAY
