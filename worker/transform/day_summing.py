"""Sums of days by a contract of language 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from kpi.aggregation.day_totals import category_table, order_table, product_table
from kpi.aggregation.products import Products
from kpi.aggregation.slice_sums import category_totals_of, order_totals_of, product_totals_of
from kpi.aggregation.sums import Added, Scheme, Sums
from kpi.aggregation.tables import CATEGORY_KPIS, ORDER_KPIS, PRODUCT_KPIS
from kpi.contract.arrow_types import arrow_type
from worker.state import Row
from worker.transform.day_loader import latest_products
from worker.transform.kept_sums import CustomersOf
from worker.transform.order_sums import State, added, read_orders, scheme_of, state_before
from worker.transform.pending_work import PendingWork
from worker.transform.publish import to_rows
from worker.transform.snapshot import Snapshot
from worker.transform.summing import SumsWork


def sums_work(work: PendingWork, tables: frozenset[str]) -> SumsWork:
    """Return the sums that a transform uses and keeps.

    Args:
        work: What it has to do.
        tables: KPI tables wanted.
    """
    return SumsWork(
        found=work.sums,
        summing=DaySumming(work=work, tables=tables),
        head=work.head,
        in_force=work.snapshot.in_force,
        every_day=work.every_day,
        changed=work.changed,
        vacated_days=work.vacated_days,
    )


def customer_type(snapshot: Snapshot) -> pa.DataType:
    """Return the type of the ids of customers."""
    return arrow_type(snapshot.orders.dataset.columns["user_id"])


@dataclass(frozen=True, kw_only=True)
class DaySumming:
    """Sums of the orders of a snapshot; see `Summing`."""

    work: PendingWork
    tables: frozenset[str]

    @property
    def scheme(self) -> Scheme:
        return scheme_of(self.tables)

    @property
    def customer_type(self) -> pa.DataType:
        return customer_type(self.work.snapshot)

    def order_ids(self) -> pa.Array | None:
        kind = arrow_type(self.work.snapshot.orders.dataset.columns["order_id"])
        return self.work.touched.ids(kind)

    async def both_states(
        self, sequence: int, ids: pa.Array, customers_of: CustomersOf
    ) -> tuple[Added, Added]:
        snapshot, scheme = self.work.snapshot, self.scheme
        rows = await read_orders(snapshot, ids)
        products = Products(*await latest_products(snapshot.products))
        before = await state_before(snapshot, sequence, products)
        now = State(places=snapshot.history.places, products=products)
        return (
            added(snapshot, rows, before, customers_of, scheme),
            added(snapshot, rows, now, customers_of, scheme),
        )

    def rows(self, day: int, sums: Sums, customers: int) -> Mapping[str, list[Row]]:
        items = self.work.snapshot.contract.datasets["order_items"]
        scheme, scale = self.scheme, items.columns["sale_price"].scale
        shown = {
            ORDER_KPIS.name: lambda: order_table(
                order_totals_of(scheme, day, sums, customers), scale
            ),
            CATEGORY_KPIS.name: lambda: category_table(
                category_totals_of(scheme, day, sums), scale
            ),
            PRODUCT_KPIS.name: lambda: product_table(product_totals_of(scheme, day, sums), scale),
        }
        return {name: to_rows(shown[name]()) for name in sorted(self.tables)}
