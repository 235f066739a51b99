"""Use the sums of days with many orders, and keep them up to date."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa

from kpi.aggregation.calendar import Days, to_date, to_day
from kpi.aggregation.day_totals import category_table, order_table
from kpi.aggregation.products import Products
from kpi.aggregation.sums import NO_SUMS, Added, totals_of
from kpi.aggregation.tables import CATEGORY_KPIS, ORDER_KPIS
from kpi.contract.arrow_types import arrow_type
from kpi.errors import KpiError
from kpi.kernels.keys import keys_of
from worker.clean import Workspace
from worker.errors import DamagedObject, SourceError, StoreError
from worker.index.day_sums import (
    MOST_CHANGED,
    StoredSums,
    count_orders,
    drop_sums,
    read_page,
    write_customers,
    write_page,
    write_sums,
)
from worker.index.sums_manifest import SumsManifest
from worker.state import Row
from worker.state.erasures import read_erasures
from worker.state.secret import secret_of
from worker.transform.day_loader import latest_products
from worker.transform.day_pipeline import DayPipeline, Published, RowsOfDay
from worker.transform.kept_sums import CustomersOf, KeptSums
from worker.transform.order_sums import State, added, read_orders, state_before
from worker.transform.pending_work import PendingWork
from worker.transform.publish import to_rows
from worker.transform.task import TransformTask

HASH_KEY_BYTES = 16
"""Length of the key under which customers are hashed."""


async def bring_up_to_date(task: TransformTask, work: PendingWork) -> KeptSums:
    """Bring the sums that are kept to the head.

    Those of days that cannot be brought there are left out: such a day is computed of all of its
    orders.

    Raises:
        ConfigError, SourceError, StoreError: As `worker.transform.transform`.
    """
    kept = KeptSums()
    if work.sums is None:
        return kept
    limits = task.limits
    kept.least_orders = limits.summed_at_once if work.every_day else limits.summed_orders
    kept.room = limits.summed_customers
    kept.customers_of = await _hashed_customers(task, work)
    if work.changed is None:
        return kept
    pages = work.sums.pages
    kind = arrow_type(work.snapshot.orders.dataset.columns["order_id"])
    ids = work.touched.ids(kind) if pages else None
    if ids is None:
        changed = {*work.changed.tolist(), *work.vacated_days.tolist()}
        kept.pages = {day: page for day, page in pages.items() if day not in changed}
        return kept
    try:
        before, now = await _both_states(work, work.sums, ids, kept.customers_of)
    except KpiError:
        return kept  # of these orders alone, sums exceed 64 bits
    kept.pages = dict(pages)
    for day in sorted(pages.keys() & (before.sums.keys() | now.sums.keys())):
        page = kept.pages.pop(day)
        try:
            stored = await read_page(task.workspace, page)
            stored = await _updated(task.workspace, stored, before, now, day)
        except SourceError:
            kept.damaged.add(day)
            continue
        if len(stored.changed) <= MOST_CHANGED:
            kept.stored[day] = stored
    return kept


async def _hashed_customers(task: TransformTask, work: PendingWork) -> CustomersOf:
    """Return what makes keys of customers that may be stored."""
    if pa.types.is_integer(arrow_type(work.snapshot.orders.dataset.columns["user_id"])):
        return lambda column: keys_of([column])
    from kpi.kernels.key_hashing import KeyHasher  # noqa: PLC0415  (cryptography, 10 ms)

    secret = await secret_of(task.state)
    key = hmac.digest(secret, b"customers of a day", hashlib.sha256)[:HASH_KEY_BYTES]
    hasher = KeyHasher(key)
    return lambda column: keys_of([column], hasher)


async def _both_states(
    work: PendingWork, sums: SumsManifest, ids: pa.Array, customers_of: CustomersOf
) -> tuple[Added, Added]:
    """Return what the touched orders added at the sequence of the sums, and what they add now."""
    snapshot = work.snapshot
    rows = await read_orders(snapshot, ids)
    products = Products(*await latest_products(snapshot.products))
    before = await state_before(snapshot, sums.up_to, products)
    now = State(places=snapshot.history.places, products=products)
    return added(snapshot, rows, before, customers_of), added(snapshot, rows, now, customers_of)


async def _updated(
    workspace: Workspace, stored: StoredSums, before: Added, now: Added, day: int
) -> StoredSums:
    """Return the sums of a day with what its orders add now instead of what they added before.

    Raises:
        SourceError: They cannot be read, or cannot be those of any orders.
        StoreError: The store fails after retries.
    """
    sums = stored.sums.plus(before.sums.get(day, NO_SUMS), -1)
    sums = sums.plus(now.sums.get(day, NO_SUMS), 1)
    gone, come = (one.customers.get(day, Counter()) for one in (before, now))
    orders = await count_orders(workspace, stored, {*gone, *come})
    customers, changed = stored.customers, Counter(stored.changed)
    is_sound = sums.is_sound
    for one, count in orders.items():
        after = count - gone[one] + come[one]
        is_sound &= count >= gone[one]
        customers += (after > 0) - (count > 0)
        changed[one] += after - count
    if not is_sound or not min(sums.orders, 1) <= customers <= sums.orders:
        raise DamagedObject(
            url=stored.run.name, expected=f"sums of the orders of {to_date(day)}", actual="others"
        )
    return replace(
        stored,
        sums=sums,
        customers=customers,
        changed={one: count for one, count in changed.items() if count},
    )


async def publish_sums(
    task: TransformTask, work: PendingWork, kept: KeptSums, published: Published
) -> PendingWork:
    """Publish those of the pending days whose sums are kept, and return the work that is left.

    Raises:
        As `worker.transform.publish.publish_days`.
    """
    days = np.intersect1d(work.days, np.array([*kept.stored, *kept.pages], np.int32))
    readable: list[int] = []
    for day in days.tolist():
        if day in kept.pages:
            try:
                kept.stored[day] = await read_page(task.workspace, kept.pages[day])
            except SourceError:
                del kept.pages[day]
                kept.damaged.add(day)
                continue
        readable.append(day)
    if not readable:
        return work
    known = set(readable)
    scale = work.snapshot.contract.datasets["order_items"].columns["sale_price"].scale
    loader = _StoredDays(kept, np.array(readable, np.int32), scale, task.tables)
    await DayPipeline(task, work.head, loader, known, published).run()
    left = np.setdiff1d(work.days, loader.batches[0], assume_unique=True)
    return replace(work, days=left, skipped=True)


class _StoredDays:
    """Makes rows of days of their sums; see `DayLoader`."""

    order_days: frozenset[int] = frozenset()

    def __init__(self, kept: KeptSums, days: Days, scale: int, tables: frozenset[str]) -> None:
        self._stored = kept.stored
        self._scale = scale
        self._tables = tables
        self.batches = [days]

    async def load(self, days: Days) -> list[int]:
        return days.tolist()

    def compute(self, loaded: list[int], days: Days) -> RowsOfDay:
        del days  # those that were loaded
        shown = {day: self._rows(day) for day in loaded}
        return lambda order_date: shown[to_day(order_date)]

    def _rows(self, day: int) -> dict[str, list[Row]]:
        stored = self._stored[day]
        orders, categories = totals_of(day, stored.sums, stored.customers)
        shown = {
            ORDER_KPIS.name: lambda: order_table(orders, self._scale),
            CATEGORY_KPIS.name: lambda: category_table(categories, self._scale),
        }
        return {name: to_rows(name, shown[name]()) for name in sorted(self._tables)}


async def keep_sums(task: TransformTask, work: PendingWork, kept: KeptSums) -> dict[str, int]:
    """Write the sums at the head; nothing that fails matters.

    Returns:
        `sums_rebuilt` where sums were damaged.
    """
    if work.sums is None:
        return {}
    notes = {"sums_rebuilt": len(kept.damaged)} if kept.damaged else {}
    before = work.sums
    try:
        pages = dict(kept.pages)
        for day, (sums, count) in sorted(kept.sums.items()):
            run = await write_customers(task.workspace, kept.customers.pop(day))
            kept.stored[day] = StoredSums(sums=sums, customers=count, run=run)
        for day in kept.stored.keys() - pages.keys():
            pages[day] = await write_page(task.workspace, kept.stored[day])
        if pages or before.pages or before.retired:
            await write_sums(
                task.workspace,
                task.state,
                work.snapshot.in_force,
                before=before,
                pages=pages,
                up_to=work.head,
            )
            # A transform that slept through an erasure must bring nobody back.
            if (await read_erasures(task.state)).last != work.snapshot.erasures.last:
                await drop_sums(task.workspace)
    except (SourceError, StoreError):
        return notes  # the next transform computes the days of all of their orders
    return notes
