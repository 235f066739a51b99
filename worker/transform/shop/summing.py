"""Sums of days by a contract of language 2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from kpi.aggregation.calendar import NO_DAYS
from kpi.aggregation.shop_kpis import ShopKpis, kpi_rows
from kpi.aggregation.shop_lines import LineColumns
from kpi.aggregation.shop_sums import sums_of_totals, totals_of_sums
from kpi.aggregation.shop_totals import shop_scheme
from kpi.aggregation.sums import Added, Scheme, Sums
from kpi.contract.shop import Shop
from kpi.kernels.keys import NO_KEYS
from worker.state import Row
from worker.transform.kept_sums import CustomersOf, KeptSums
from worker.transform.shop.changed_files import ChangedFiles
from worker.transform.shop.loader import ShopContext, line_columns_of
from worker.transform.shop.order_sums import ShopState, added, read_order_rows
from worker.transform.shop.references import References
from worker.transform.shop.work import ShopWork
from worker.transform.summing import SumsWork


def shop_sums_work(work: ShopWork, context: ShopContext) -> SumsWork:
    """Return the sums that a transform uses and keeps.

    Args:
        work: What it has to do.
        context: What days are loaded from.
    """
    return SumsWork(
        found=work.sums,
        summing=ShopSumming(work=work, context=context),
        head=work.head,
        in_force=work.snapshot.history.in_force,
        every_day=work.every_day,
        changed=work.changed_days,
        vacated_days=NO_DAYS,
    )


def customer_type_of(shop: Shop) -> pa.DataType | None:
    """Return the type of the ids of customers; None where the contract has none."""
    return pa.string() if shop.has("orders", "user_id") else None


@dataclass(frozen=True)
class ShopSumming:
    """Sums of the orders of a snapshot; see `Summing`."""

    work: ShopWork
    context: ShopContext

    @property
    def _shop(self) -> Shop:
        return self.work.snapshot.shop

    @cached_property
    def _columns(self) -> LineColumns:
        return line_columns_of(self._shop, self.context.tables)

    @cached_property
    def scheme(self) -> Scheme:
        return shop_scheme(self._columns)

    @property
    def customer_type(self) -> pa.DataType | None:
        return customer_type_of(self._shop)

    def order_ids(self) -> pa.Array | None:
        return self.work.touched.ids(pa.string())

    async def both_states(
        self, sequence: int, ids: pa.Array, customers_of: CustomersOf
    ) -> tuple[Added, Added]:
        snapshot = self.work.snapshot
        rows = await read_order_rows(snapshot, ids, self._columns)
        changed = ChangedFiles(snapshot, sequence)
        now = ShopState(precedence=snapshot.precedence, references=self.context.references)
        earlier, references = changed.earlier(), now.references
        names = [*self._shop.references, "products"]
        if any(changed.sources(name) for name in names if name in snapshot.catalogs):
            references = References(earlier, snapshot.limits.held_reference_rows)
        before = ShopState(precedence=earlier.precedence, references=references)
        return await added(rows, before, customers_of), await added(rows, now, customers_of)

    def rows(self, day: int, sums: Sums, customers: int) -> Mapping[str, list[Row]]:
        totals = totals_of_sums(self.scheme, day, sums, customers)
        if totals.values["open"][0]:
            self.context.seen.provisional.add(day)
        tables = kpi_rows(self._shop, self._columns, totals, self.context.tables)
        return {name: list[Row](table.rows(day)) for name, table in tables.items()}


def keep_days(kept: KeptSums, kpis: ShopKpis, columns: LineColumns) -> None:
    """Keep the sums of days that have many orders, and the customers of these."""
    orders = kpis.orders
    counted = orders.orders.day[orders.counts]
    days = kept.busy_days(counted)
    if not days:
        return
    wanted = np.array(days, np.int32)
    found = sums_of_totals(shop_scheme(columns), kpis.totals, wanted)
    customers = dict(zip(kpis.totals.days.tolist(), kpis.totals.customers.tolist(), strict=True))
    users, has_user = orders.orders.users, orders.orders.has_user
    for day in days:
        keys = NO_KEYS
        if users is not None and has_user is not None:
            keys = users.take(orders.counts & has_user & (orders.orders.day == day))
        kept.customers[day] = keys
        kept.sums[day] = found[day], customers[day]
