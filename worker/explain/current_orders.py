"""List the orders that the KPIs of a day are made of, with all columns."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.aggregation.calendar import to_date
from kpi.csv.header import RESCUED
from kpi.mapping.clean_rows import DAY, ROW
from worker.errors import ConfigError
from worker.explain.as_of import open_at
from worker.explain.day_rows import read_day
from worker.explain.periods import AnySnapshot
from worker.explain.steps import Question
from worker.transform.changed_days import single_array
from worker.transform.clean_files import RowGroup, batch_row_groups
from worker.transform.current_rows import CurrentDataset, current_datasets
from worker.transform.day_ranges import instants
from worker.transform.shop.days import day_intervals
from worker.transform.shop.snapshot import ShopSnapshot

NOT_SHOWN = (RESCUED, ROW, DAY)
"""Columns of clean rows that no file of the shop has."""


async def current_orders(
    question: Question, day: int, category: str | None = None
) -> AsyncIterator[pa.Table]:
    """Yield the orders of a day at the head of the ledger, some at a time.

    Args:
        question: What is asked about.
        day: Days since 1970-01-01.
        category: Only orders with an item of it; None for all.

    Raises:
        ConfigError: The contract does not keep days, or categories, with the rows asked for.
        SourceError, StoreError: The clean rows or the ledger cannot be read, after retries.
    """
    head = await question.state.head()
    if not head:
        return
    snapshot = await open_at(question, head, since=head)
    (orders,) = (one for one in current_datasets(snapshot, head) if one.name == "orders")
    groups = await _groups_of(snapshot, orders, day)
    wanted = None if category is None else await _orders_with(snapshot, day, category)
    await orders.resolve(groups)
    for batch in batch_row_groups(groups, orders.live.limits.read_rows):
        table = await orders.read(batch)
        table = table.filter(pc.equal(table.column(DAY), pa.scalar(to_date(day))))
        if wanted is not None:
            table = table.filter(pc.is_in(table.column("order_id"), value_set=wanted))
        if len(table):
            shown = [name for name in table.column_names if name not in NOT_SHOWN]
            yield table.select(shown)


async def _groups_of(snapshot: AnySnapshot, orders: CurrentDataset, day: int) -> list[RowGroup]:
    """Return the row groups that may have an order of a day."""
    days = np.array([day], np.int32)
    if not isinstance(snapshot, ShopSnapshot):
        on_days = instants(days, snapshot.contract.business_time_zone)
        return await orders.live.row_groups_intersecting("created_at", on_days)
    if DAY not in orders.columns:
        raise ConfigError(
            "the day of an order is looked up, so no orders can be listed by it",
            expected="a contract whose orders have `created_at` themselves",
            hint="`shopkpi explain` says what moved a day",
        )
    return await orders.live.row_groups_intersecting(DAY, day_intervals(days))


async def _orders_with(snapshot: AnySnapshot, day: int, category: str) -> pa.Array:
    """Return the ids of the orders of a day that have an item of a category."""
    if isinstance(snapshot, ShopSnapshot):
        raise ConfigError(
            option="--category",
            expected="a contract of language 1",
            actual="one of language 2, whose categories may be looked up by the day",
            hint="`shopkpi explain DAY --category NAME` says what moved the category",
        )
    rows = await read_day(snapshot, day)
    tables = await rows.latest(snapshot)
    items, products = tables["order_items"], rows.products(tables)
    if "product_id" not in items.column_names or category not in products.categories:
        return single_array(items.column("order_id")).slice(0, 0)
    codes = products.category_codes(single_array(items.column("product_id")))
    hit = codes == products.categories.index(category)
    ids = single_array(items.column("order_id").filter(pa.array(hit)))
    return pc.unique(ids)
