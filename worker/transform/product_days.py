"""Find the days that new, replaced or retracted files of products may have changed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.aggregation.calendar import NO_DAYS, Days, to_day
from kpi.aggregation.tables import CATEGORY_KPIS, UNKNOWN_CATEGORY
from kpi.kernels.arrays import Mask
from kpi.kernels.masks import booleans
from worker.transform import changed_days
from worker.transform.catalog import Catalog
from worker.transform.day_loader import latest_products
from worker.transform.snapshot import Snapshot
from worker.transform.task import TransformTask
from worker.transform.touched_orders import TouchedOrders

MAX_PRODUCTS = 100_000
"""Products whose items are looked for; with more, every day is computed."""


async def days_of_changed_products(
    task: TransformTask,
    snapshot: Snapshot,
    changed: Catalog,
    since: int,
    touched: TouchedOrders,
) -> Days | None:
    """Return the days that files of products may have changed; None for every day.

    Args:
        task: Tables that are published.
        snapshot: The clean zone at the head.
        changed: Files of products that began or ceased to count.
        since: Sequence that the tables have come to.
        touched: Gets the ids of the orders with items whose category may have changed.
    """
    if not len(changed) or CATEGORY_KPIS.name not in task.tables:
        return NO_DAYS
    if changed.source_ids.isdisjoint(snapshot.ceased_since(since)):
        days = await _days_of_new_products(task, snapshot, changed, since, touched)
        if days is not None:
            return days
    ids = await _recategorised(snapshot, changed, since)
    if len(ids) > MAX_PRODUCTS:
        return None
    items, orders = snapshot.items.with_uncounted(), snapshot.orders.with_uncounted()
    return await changed_days.days_of_products(items, orders, ids, task.contract, touched)


async def _days_of_new_products(
    task: TransformTask,
    snapshot: Snapshot,
    new: Catalog,
    since: int,
    touched: TouchedOrders,
) -> Days | None:
    """Return the days that products which become known change; None where a category changes.

    They change days with items of unknown products, and days that were published since. A category
    that changes and changes back has changed: a transform that slept since then may publish the
    state between, and only days published at a later state prevent that.
    """
    old_ids, old_categories = await latest_products(snapshot.products.without(new))
    unknown = [pa.array([], old_ids.type)]
    for source_id in sorted(new.source_ids):
        ids, categories = await latest_products(new.of_sources([source_id]))
        at = pc.index_in(ids, value_set=old_ids)
        same = equal_or_both_null(old_categories.take(at), categories)
        if pc.any(pc.and_(at.is_valid(), pc.invert(same))).as_py():
            return None
        unknown.append(ids.filter(at.is_null()))
    days: set[int] = set()
    becomes_known = pc.unique(pa.chunked_array(unknown))
    items, orders = snapshot.items.with_uncounted(), snapshot.orders.with_uncounted()
    if items.has_index and len(becomes_known) <= items.limits.lookup_points:
        of_items = await changed_days.days_of_products(
            items, orders, becomes_known, task.contract, touched
        )
        days = set(of_items.tolist())
    elif len(becomes_known):
        touched.give_up()
        days = {
            to_day(date.fromisoformat(str(row["order_date"])))
            async for row in task.state.rows(CATEGORY_KPIS.name)
            if row["category"] == UNKNOWN_CATEGORY
        }
    # A day published since (by a transform of some days, by a worker that died) may show a product
    # in a category that it had in between. Read after the rows: what is published meanwhile is
    # found either there or here.
    for day, published in (await task.state.days()).items():
        if published.get(CATEGORY_KPIS.name, since + 1) > since:
            days.add(to_day(day))
    return np.array(sorted(days), np.int32)


async def _recategorised(snapshot: Snapshot, changed: Catalog, since: int) -> pa.Array:
    """Return the products that may have had several categories since a sequence, or come or gone.

    A product has had one category where all files that it is in, of those that changed, have that
    one, and either a file that did not change has it too, or some name had a file with it at each
    state since.
    """
    base_ids, base_categories = await latest_products(snapshot.products.without(changed))
    of_source = {
        source_id: await latest_products(changed.of_sources([source_id]))
        for source_id in sorted(changed.source_ids)
    }
    ids = pc.unique(pa.chunked_array([one for one, _ in of_source.values()], base_ids.type))
    texts = pa.chunked_array([one for _, one in of_source.values()], pa.string())
    known = pc.unique(pa.chunked_array([*texts.chunks, base_categories], pa.string()))
    lowest, highest = np.full(len(ids), len(known)), np.full(len(ids), -1)
    holds: dict[str, Mask] = {}
    for source_id, (some, categories) in of_source.items():
        at, codes = _positions(some, ids), _positions(categories, known)
        np.minimum.at(lowest, at, codes)
        np.maximum.at(highest, at, codes)
        holds[source_id] = np.zeros(len(ids), bool)
        holds[source_id][at] = True
    base_at = _positions(ids, base_ids)
    base = np.append(_positions(base_categories, known), -1)[base_at]
    always = np.zeros(len(ids), bool)
    for steps in snapshot.uploads.steps_since(since, changed.dataset.name):
        always |= np.logical_and.reduce([_any_of(one, holds, len(ids)) for one in steps])
    stays = (lowest == highest) & np.where(base_at >= 0, base == lowest, always)
    return ids.filter(booleans(~stays))


def _any_of(source_ids: Iterable[str], holds: dict[str, Mask], size: int) -> Mask:
    found = np.zeros(size, bool)
    for source_id in source_ids:
        if source_id in holds:
            found |= holds[source_id]
    return found


def _positions(values: pa.Array, among: pa.Array) -> np.ndarray:
    """Return the position of each value; null is found where it is among them, else -1."""
    at = pc.index_in(values, value_set=among).fill_null(-1)
    return np.asarray(at.to_numpy(zero_copy_only=False), np.int64)


def equal_or_both_null(left: pa.Array, right: pa.Array) -> pa.Array:
    """Compare texts null-safely: null equals null, and differs from every text, even the empty."""
    both_null = pc.and_(left.is_null(), right.is_null())
    return pc.or_(pc.equal(left, right).fill_null(False), both_null)
