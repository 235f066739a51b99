"""Reading what a slice of days needs, and handing it to `kpi.daily`."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.contract import Contract
from kpi.daily import MICROSECONDS_A_DAY, DaySlice, Products, Totals, is_returned, order_days
from kpi.exact import distinct
from kpi.tables import PRODUCT_KPIS
from worker.transform.catalog import Catalog, Piece, RowGroup
from worker.transform.changes import Days, one_array
from worker.transform.versions import Versions

ORDERS_AT_ONCE = 500_000
"""Orders of a slice: about 50 MB with what is kept of their items."""

READS_AT_ONCE = 3
"""Row groups of items read and measured at once: two cores busy, one waiting for its bytes."""

EPOCH_DAY = date(1970, 1, 1)


@dataclass
class Seen:
    """What transforming has seen of each piece.

    Attributes:
        matched: Latest rows of items whose order was there.
        days: Days that latest rows of the piece count on.
    """

    matched: dict[Piece, int] = field(default_factory=lambda: defaultdict(int))
    days: dict[Piece, set[int]] = field(default_factory=lambda: defaultdict(set))


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


def cut(days: Days, orders: Catalog, limit: int = ORDERS_AT_ONCE) -> list[Days]:
    """Cut ascending days into slices of about `limit` orders at most (a day is never cut)."""
    if len(days) == 0:
        return []
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
    return [
        part for part in np.split(days, np.flatnonzero(np.diff(total // limit)) + 1) if len(part)
    ]


def possible_days(orders: Catalog) -> Days:
    """Every day on which an order may stand, with a day to spare for time zones."""
    spans = [(_day(low) - 1, _day(high) + 1) for low, high in _created_ranges(orders)]
    days = [np.arange(first, last + 1, dtype=np.int32) for first, last in sorted(set(spans))]
    return distinct(np.concatenate(days)) if days else np.zeros(0, np.int32)


def _created_ranges(orders: Catalog) -> list[tuple[int, int]]:
    found = (group.range("created_at") for group in orders.row_groups())
    return [one for one in found if one is not None]


async def compute(
    days: Days,
    zone: Zone,
    products: Products,
    order_versions: Versions,
    item_versions: Versions,
    tables: frozenset[str],
    seen: Seen,
) -> dict[str, pa.Table]:
    """The KPI rows of some days.

    Args:
        days: Ascending, days since 1970-01-01.
        zone: The state of the ledger.
        products: The latest version of every product.
        order_versions: Judges which orders are the latest.
        item_versions: Judges which items are.
        tables: KPI tables wanted.
        seen: Is told what was seen.

    Returns:
        KPI table name -> its rows for those days.
    """
    contract = zone.contract
    orders = await _orders(days, zone, order_versions, seen)
    ids = one_array(orders.column("order_id"))
    returned = is_returned(one_array(orders.column("status")), contract)
    day_slice = DaySlice(
        contract=contract,
        products=products,
        order_ids=ids,
        days=orders.column("day").to_numpy(),
        user_ids=one_array(orders.column("user_id")),
        returned=returned,
        with_products=PRODUCT_KPIS.name in tables,
    )
    if len(ids):
        extremes = pc.min_max(ids)
        low, high = extremes["min"].as_py(), extremes["max"].as_py()
        groups = zone.items.overlapping("order_id", low, high)
        await item_versions.judge(groups)
        await _measure(groups, zone, item_versions, day_slice, seen)
    made = {"order_kpis": day_slice.order_kpis, "category_kpis": day_slice.category_kpis}
    made["product_kpis"] = day_slice.product_kpis
    return {name: await asyncio.to_thread(made[name]) for name in sorted(tables)}


async def _orders(days: Days, zone: Zone, versions: Versions, seen: Seen) -> pa.Table:
    """Latest orders of some days: order_id, user_id, status and `day`."""
    contract = zone.contract
    # A time zone moves an instant by less than a day.
    low = (int(days[0]) - 1) * MICROSECONDS_A_DAY
    high = (int(days[-1]) + 2) * MICROSECONDS_A_DAY
    groups = zone.orders.overlapping("created_at", low, high)
    await versions.judge(groups)
    has_status = "status" in zone.orders.dataset.columns
    columns = ["order_id", "user_id", "created_at", *(["status"] if has_status else [])]
    first, last = int(days[0]), int(days[-1])
    wanted = np.zeros(last - first + 1, bool)
    wanted[days - first] = True

    def choose(group: RowGroup, table: pa.Table) -> pa.Table:
        of_row = order_days(one_array(table.column("created_at")), contract.business_time_zone)
        inside = (of_row >= first) & (of_row <= last)
        inside[inside] = wanted[of_row[inside] - first]
        mask = versions.latest(group)
        if mask is not None:
            inside &= mask
        seen.days[group.piece].update(np.unique(of_row[inside]).tolist())
        status = (
            one_array(table.column("status")).cast(pa.string())
            if has_status
            else pa.nulls(table.num_rows, pa.string())
        )
        kept = pa.table(
            {
                "order_id": table.column("order_id"),
                "user_id": table.column("user_id"),
                "status": status,
                "day": of_row,
            }
        )
        return kept if inside.all() else kept.filter(pa.array(inside))

    parts = []
    for group in groups:
        table = await group.piece.read([group], columns)
        parts.append(await asyncio.to_thread(choose, group, table))
    if not parts:
        kinds = zone.orders.dataset.columns
        return pa.table(
            {
                "order_id": pa.array([], kinds["order_id"].arrow_type),
                "user_id": pa.array([], kinds["user_id"].arrow_type),
                "status": pa.array([], pa.string()),
                "day": pa.array([], pa.int32()),
            }
        )
    return pa.concat_tables(parts).combine_chunks()


async def _measure(
    groups: list[RowGroup], zone: Zone, versions: Versions, day_slice: DaySlice, seen: Seen
) -> None:
    """Add up the latest items, some row groups at a time."""
    known = zone.items.dataset.columns
    wanted = ["order_id", "product_id", "sale_price", "status", "quantity"]
    columns = [name for name in wanted if name in known]
    slots = asyncio.Semaphore(READS_AT_ONCE)

    async def one(group: RowGroup) -> None:
        async with slots:
            table = await group.piece.read([group], columns)
            mask = versions.latest(group)

            def add_up() -> tuple[Totals, int, Days]:
                kept = table if mask is None else table.filter(pa.array(mask))
                batch = pa.RecordBatch.from_arrays(
                    [one_array(kept.column(name)) for name in columns], names=columns
                )
                return day_slice.measure(batch)

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
