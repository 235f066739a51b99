"""Compute the KPIs of a slice of days from the latest version of its orders and their items.

A slice holds whole days, so every count in it is final: distinct orders, customers and orders of a
category never cross from one day to another.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.aggregation.calendar import Days, distinct_days, numbered
from kpi.aggregation.day_totals import (
    CategoryTotals,
    OrderTotals,
    ProductTotals,
    category_table,
    order_table,
    product_table,
)
from kpi.aggregation.group_sums import GroupSums, GroupTotals, count_groups, sum_groups
from kpi.aggregation.item_sums import ItemSales, Measured, Pairs
from kpi.aggregation.products import Products
from kpi.aggregation.promises import Promises
from kpi.aggregation.unique_customers import count_customers
from kpi.contract.folding import fold
from kpi.contract.model import Contract
from kpi.kernels import fixed_point
from kpi.kernels.arrays import Int64s, Mask, Positions
from kpi.kernels.hash_index import KeyIndex
from kpi.kernels.keys import KEY_BLOCK_ROWS, NO_KEYS, Keys
from kpi.kernels.masks import booleans, valid
from kpi.kernels.sorting import SERIAL, Execution, is_nearly_sorted, sort, sort_runs
from kpi.kernels.uuids import UUID, format_uuids

NO_POSITIONS: Positions = np.zeros(0, np.int64)


def is_returned(status: pa.Array, contract: Contract) -> Mask:
    """Mark the statuses that mean "returned"; False for null."""
    encoded = status if isinstance(status, pa.DictionaryArray) else status.dictionary_encode()
    returned = frozenset(contract.returned)
    texts = encoded.dictionary.to_pylist()
    matches = np.array([text is not None and fold(text) in returned for text in texts], bool)
    indices = encoded.indices
    if indices.null_count:
        matches, indices = np.append(matches, False), indices.fill_null(len(matches))
    return matches.take(indices.to_numpy())


def build_day_slice(
    *,
    contract: Contract,
    products: Products,
    orders: Keys,
    days: Days,
    users: Keys,
    returned: Mask,
    promised: Promises | None = None,
    with_products: bool = False,
    execution: Execution = SERIAL,
) -> DaySlice:
    """Prepare a slice: number its days, count its customers and index its orders.

    Args:
        contract: Says what `returned` means and how prices are scaled.
        products: The latest version of every product.
        orders: The orders of the slice, each once.
        days: Day of each order.
        users: Customer of each order.
        returned: Whether each order was returned.
        promised: Items that each order promises; None where none says so.
        with_products: Keep what the product KPIs need.
        execution: How to use the machine.
    """
    dates = distinct_days(days)
    day = numbered(days, dates)
    # Before the index is built: the users are needed for nothing else, and are large.
    customers = count_customers(day, users, len(dates), execution)
    del users
    return DaySlice(
        contract=contract,
        products=products,
        dates=dates,
        day=day,
        returned=returned,
        promised=np.full(len(days), -1, np.int32) if promised is None else promised,
        customers=customers,
        index=KeyIndex(orders, execution),
        with_products=with_products,
        execution=execution,
    )


class DaySlice:
    """Adds up the items of the orders of some days; `build_day_slice` makes it.

    Several threads may call `measure` at once, but only one at a time `add`. The tables are
    computed after the last item, each in one thread.
    """

    def __init__(
        self,
        *,
        contract: Contract,
        products: Products,
        dates: Days,
        day: Days,
        returned: Mask,
        promised: Promises,
        customers: Int64s,
        index: KeyIndex,
        with_products: bool,
        execution: Execution,
    ) -> None:
        """Start with no items.

        Args:
            contract: Says what `returned` means and how prices are scaled.
            products: The latest version of every product.
            dates: The days of the slice, ascending.
            day: Day of each order, as its position in `dates`.
            returned: Whether each order was returned.
            promised: Items that each order promises.
            customers: Distinct customers of each day.
            index: Finds the position of an order.
            with_products: Keep what the product KPIs need.
            execution: How to use the machine.
        """
        self._contract = contract
        self._products = products
        self._dates = dates
        self._day = day
        self._returned = returned
        self._promised = promised
        self._arrived = np.zeros(len(day), np.int64)
        self._has_items = np.zeros(len(day), bool)
        self._customers = customers
        self._index = index
        self._with_products = with_products
        self._execution = execution
        size = len(dates)
        self._groups = len(products.categories)
        fits = 2 * len(day) * self._groups <= fixed_point.INT32_MAX
        self._pair_type = np.int32 if fits else np.int64
        self._items = np.zeros(size, np.int64)
        self._revenue = np.zeros(size, np.int64)
        self._category_revenue = GroupTotals(size * self._groups)
        self._pairs: list[Pairs] = []
        self._sales: list[ItemSales] = []
        self._scale = contract.datasets["order_items"].columns["sale_price"].scale

    def find(self, orders: Keys) -> Positions:
        """Find the position of each order in the slice; -1 for one of another day."""
        return self._index.find(orders)

    def measure(self, items: pa.RecordBatch, position: Positions) -> Measured:
        """Sum up a batch of items.

        Args:
            items: Columns product_id, sale_price and, where the contract has them, status and
                quantity.
            position: Position of each item's order, as `find` gives it; -1 to ignore the item.

        Raises:
            KpiError: A sum does not fit 64 bits.
        """
        known = position >= 0
        if not known.all():
            items = items.filter(booleans(known))
            position = position[known]
        day = self._day[position].astype(np.int64)
        present = np.bincount(day, minlength=len(self._dates))
        size, groups = len(self._dates), self._groups
        price = fixed_point.unscaled(items.column("sale_price"))
        quantity = self._quantity(items)
        if quantity is None:
            count = present.astype(np.int64)
        else:
            count = fixed_point.sums(day, quantity, size)
            if self._contract.datasets["order_items"].unit_price:
                price = fixed_point.times(price, quantity)
        category = self._products.category_codes(items.column("product_id"))
        group = day * groups + category
        category_revenue = sum_groups(group, price, size * groups)
        if category_revenue.codes is None:  # a sum of sums is faster than one of items
            revenue = fixed_point.row_sums(category_revenue.sums.reshape(size, groups))
        else:
            revenue = fixed_point.sums(day, price, size)
        returned = self._returned_items(items, position)
        pairs: Pairs = (((position * groups + category) << 1) | returned).astype(self._pair_type)
        if is_nearly_sorted(pairs):
            # Here several threads sort, each in its cache; the final merge is cheap then.
            sort(pairs, self._execution.in_one_thread())
        sales = None
        if self._with_products:
            sales = ItemSales(
                position=position,
                product_ids=items.column("product_id"),
                revenue=price,
                units=np.ones(len(price), np.int64) if quantity is None else quantity,
                returned=returned,
            )
        return Measured(
            items=count,
            revenue=revenue,
            category_revenue=category_revenue,
            pairs=pairs,
            sales=sales,
            position=position,
            quantity=quantity,
            days=self._dates[np.flatnonzero(present)],
        )

    def add(self, batch: Measured) -> None:
        """Add the sums of a measured batch.

        Raises:
            KpiError: A sum does not fit 64 bits.
        """
        self._items = fixed_point.add(self._items, batch.items)
        self._revenue = fixed_point.add(self._revenue, batch.revenue)
        self._category_revenue.add(batch.category_revenue)
        self._pairs.append(batch.pairs)
        np.add.at(self._arrived, batch.position, 1 if batch.quantity is None else batch.quantity)
        self._has_items[batch.position] = True
        if batch.sales is not None:
            self._sales.append(batch.sales)

    def close(self) -> None:
        """Free the index of orders, once no more items will come."""
        self._index = KeyIndex(NO_KEYS)

    def __len__(self) -> int:
        return len(self._day)

    def order_totals(self) -> OrderTotals:
        """Return the totals of the days, each of which has an order."""
        is_promised = self._promised >= 0
        promised = np.where(is_promised, self._promised, 0).astype(np.int64)
        missing = np.maximum(promised - np.maximum(self._arrived, 0), 0)
        size = len(self._dates)
        return OrderTotals(
            days=self._dates,
            orders=fixed_point.counts(self._day, size),
            returned=fixed_point.counts(self._day[self._returned], size),
            revenue=self._revenue,
            items=self._items,
            customers=self._customers,
            promised=fixed_point.sums(self._day, promised, size),
            unpromised=fixed_point.counts(self._day[~is_promised], size),
            missing=fixed_point.sums(self._day, missing, size),
            without_items=fixed_point.counts(self._day[~self._has_items], size),
        )

    @cached_property
    def category_totals(self) -> CategoryTotals:
        """Totals of the days and categories that have an order."""
        orders_by_group, returned_by_group = self._orders_by_group()
        filled = orders_by_group.non_zero()
        names = pa.array(self._products.categories, pa.string())
        return CategoryTotals(
            days=self._dates[filled // self._groups],
            categories=names.take(pa.array(filled % self._groups)),
            orders=orders_by_group.at(filled),
            returned=returned_by_group.at(filled),
            revenue=self._category_revenue.total().at(filled),
        )

    def order_kpis(self) -> pa.Table:
        """Compute `ORDER_KPIS`: one row per day that has an order, ascending."""
        return order_table(self.order_totals(), self._scale)

    def category_kpis(self) -> pa.Table:
        """Compute `CATEGORY_KPIS`, ascending by day, then category."""
        return category_table(self.category_totals, self._scale)

    def _orders_by_group(self) -> tuple[GroupSums, GroupSums]:
        """Count the orders of each day and category, and those of them with a returned item."""
        every = np.concatenate([np.zeros(0, self._pair_type), *self._pairs])
        self._pairs = [every]
        sort_runs(every, self._execution)
        possible = len(self._dates) * self._groups

        def count(starts: range) -> tuple[GroupTotals, GroupTotals]:
            orders, returned = GroupTotals(possible), GroupTotals(possible)
            for start in starts:
                pairs, with_return = _distinct_pairs(every, start, start + KEY_BLOCK_ROWS)
                position, category = np.divmod(pairs, self._groups)
                group = self._day[position] * np.int64(self._groups) + category
                orders.add(count_groups(group, possible))
                returned.add(count_groups(group[with_return], possible))
            return orders, returned

        starts = range(0, len(every), KEY_BLOCK_ROWS)
        halves = (starts[::2], starts[1::2])
        (orders, returned), (more, more_returned) = self._execution.apply(count, halves)
        orders.add(more.total())
        returned.add(more_returned.total())
        return orders.total(), returned.total()

    def product_kpis(self) -> pa.Table:
        """Compute `PRODUCT_KPIS`, ascending by day, then product id."""
        return product_table(self.product_totals, self._scale)

    @cached_property
    def product_totals(self) -> ProductTotals:
        """Totals of the days and products that have an order."""
        position = np.concatenate([NO_POSITIONS, *(sale.position for sale in self._sales)])
        names, product = self._products_sold()
        revenue = np.concatenate([NO_POSITIONS, *(sale.revenue for sale in self._sales)])
        units = np.concatenate([NO_POSITIONS, *(sale.units for sale in self._sales)])
        returned = np.concatenate([NO_POSITIONS, *(sale.returned for sale in self._sales)])
        width = max(len(names), 1)
        every = ((position * width + product) << 1) | returned
        sort(every, self._execution)
        pairs, ever = _distinct_pairs(every, 0, len(every))
        day = self._day.astype(np.int64)
        of_pair = day[pairs // width] * width + pairs % width
        groups = day[position] * width + product
        rows = fixed_point.distinct(groups)
        codes = np.searchsorted(rows, groups)
        pair_codes = np.searchsorted(rows, of_pair)
        return ProductTotals(
            days=self._dates[rows // width],
            products=names.take(pa.array(rows % width)),
            orders=np.bincount(pair_codes, minlength=len(rows)).astype(np.int64),
            returned=np.bincount(pair_codes[ever], minlength=len(rows)).astype(np.int64),
            revenue=fixed_point.sums(codes, revenue, len(rows)),
            units=fixed_point.sums(codes, units, len(rows)),
        )

    def _products_sold(self) -> tuple[pa.Array, Positions]:
        """Return the ids of products as texts, ascending, and the position of each sale's."""
        if not self._sales:
            return pa.array([], pa.string()), NO_POSITIONS
        ids = pa.chunked_array([sale.product_ids for sale in self._sales])
        texts = (format_uuids(ids) if ids.type == UUID else ids.cast(pa.string())).combine_chunks()
        names = pc.unique(texts).sort()
        return names, pc.index_in(texts, value_set=names).to_numpy(zero_copy_only=False)

    def _returned_items(self, items: pa.RecordBatch, position: Int64s) -> Mask:
        if "status" not in items.schema.names:
            return self._returned[position]
        status = items.column("status")
        returned = is_returned(status, self._contract)
        if status.null_count:
            returned |= self._returned[position] & ~valid(status)
        return returned

    def _quantity(self, items: pa.RecordBatch) -> Int64s | None:
        if "quantity" not in items.schema.names:
            return None
        return items.column("quantity").fill_null(1).to_numpy(zero_copy_only=False)


def _distinct_pairs(ordered: Pairs, start: int, end: int) -> tuple[Pairs, Mask]:
    """Return the distinct pairs of a range without their lowest bit, and whether it was ever set.

    Args:
        ordered: Sorted pairs. The last of equal ones has the bit set if any of them has.
        start: First pair of the range.
        end: End of the range. Equal pairs that cross it count in the next range.
    """
    pairs = ordered[start : end + 1]
    keys = pairs >> 1
    last = np.ones(min(end, len(ordered)) - start, bool)
    np.not_equal(keys[1:], keys[:-1], out=last[: len(keys) - 1])
    at = np.flatnonzero(last)
    return keys[at], (pairs[at] & 1).astype(bool)
