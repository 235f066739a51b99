"""KPIs of a slice of days, from the latest version of its orders and their items.

A slice holds whole days, so every count in it is final: distinct orders, customers and orders of a
category never cross from one day to another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kpi.aggregation.calendar import Days, distinct_days, numbered
from kpi.aggregation.schemas import MONEY, RATE, arrow_schema
from kpi.aggregation.tables import (
    CATEGORY_KPIS,
    NO_CATEGORY,
    ORDER_KPIS,
    PRODUCT_KPIS,
    UNKNOWN_CATEGORY,
)
from kpi.aggregation.unique_customers import customers
from kpi.contract.model import Contract
from kpi.kernels import fixed_point
from kpi.kernels.arrays import Int64s, Mask, Positions
from kpi.kernels.hash_index import KeyIndex
from kpi.kernels.keys import BLOCK_KEYS, NO_KEYS, Keys, keys_of
from kpi.kernels.masks import booleans, true, valid
from kpi.kernels.sorting import Apply, nearly_in_order, sort, sort_runs
from kpi.kernels.uuids import UUID, uuid_texts

Pairs = npt.NDArray[np.integer]
RATE_ONE = 10_000
"""The rate 1 at the scale of `RATE`."""


def is_returned(status: pa.Array, contract: Contract) -> Mask:
    """Which statuses mean "returned"; False for null."""
    returned = pa.array(contract.returned, pa.string())
    if isinstance(status, pa.DictionaryArray):
        of_text = true(pc.is_in(pc.utf8_lower(status.dictionary), returned))
        indices = status.indices
        if indices.null_count:
            of_text, indices = np.append(of_text, False), indices.fill_null(len(of_text))
        return of_text.take(indices.to_numpy())
    return true(pc.is_in(pc.utf8_lower(status), returned))


class Products:
    """The latest version of every product: product id -> category."""

    def __init__(self, ids: pa.Array, categories: pa.Array) -> None:
        """
        Args:
            ids: Distinct product ids.
            categories: Category of each; null where it has none.
        """
        self._index = KeyIndex(keys_of([pa.chunked_array([ids])]))
        texts = categories.cast(pa.string()).fill_null(NO_CATEGORY)
        names = sorted({UNKNOWN_CATEGORY, NO_CATEGORY, *pc.unique(texts).to_pylist()})
        self.categories: list[str] = names
        codes = pc.index_in(texts, value_set=pa.array(names, pa.string()))
        # Position -1, an unknown product, reads the last element.
        self._codes = np.append(
            codes.to_numpy(zero_copy_only=False).astype(np.int64), names.index(UNKNOWN_CATEGORY)
        )

    def category_codes(self, product_ids: pa.Array) -> Int64s:
        """Index in `categories` of each product's category."""
        return self._codes[self._index.find(keys_of([pa.chunked_array([product_ids])]))]


@dataclass
class Totals:
    """What batches of items add up to; made by `DaySlice.measure` for `DaySlice.add`."""

    items: Int64s
    revenue: Int64s
    category_revenue: Int64s
    pairs: list[Pairs] = field(default_factory=list)
    sales: list[tuple[Int64s, pa.Array, Int64s, Int64s, Mask]] = field(default_factory=list)


class DaySlice:
    """Adds up the items of the orders of some days.

    `measure` may run in several threads at once; `add` may not. The results are computed once no
    items come any more, and may then be so in several threads, each in one.
    """

    def __init__(
        self,
        *,
        contract: Contract,
        products: Products,
        orders: Keys,
        days: Days,
        users: Keys,
        returned: Mask,
        with_products: bool = False,
        apply: Apply = map,
    ) -> None:
        """
        Args:
            contract: Says what `returned` means and how prices are scaled.
            products: The latest version of every product.
            orders: The orders of the slice, each once.
            days: Their order_date, days since 1970-01-01.
            users: Their customers.
            returned: Whether they were returned.
            with_products: Keep what the product KPIs need.
            apply: How parts are worked on where there are many orders.
        """
        self._contract = contract
        self._products = products
        self._dates = distinct_days(days)
        size = len(self._dates)
        self._day = numbered(days, self._dates)
        self._returned = returned
        self._apply = apply
        # Before there is an index, and kept by nobody then: the most memory that orders take.
        self._customers = customers(self._day, users, size, apply)
        del users
        self._index = KeyIndex(orders, apply)
        self._with_products = with_products
        self._groups = len(products.categories)
        fits = 2 * len(days) * self._groups <= fixed_point.INT32_MAX
        self._pair_type = np.int32 if fits else np.int64
        self._totals = Totals(
            items=np.zeros(size, np.int64),
            revenue=np.zeros(size, np.int64),
            category_revenue=np.zeros(size * self._groups, np.int64),
        )
        self._scale = contract.datasets["order_items"].columns["sale_price"].scale

    def find(self, orders: Keys) -> Positions:
        """Where some orders stand in the slice; -1 for those of other days."""
        return self._index.find(orders)

    def measure(self, items: pa.RecordBatch, position: Positions) -> tuple[Totals, int, Days]:
        """What a batch adds.

        Args:
            items: Items: product_id, sale_price and, where the contract has them, status and
                quantity.
            position: Of each item's order, as `find` gives it; -1 for items to be passed over.

        Returns:
            What `add` takes, how many of the items belong to orders of the slice, and the days
            of those orders (distinct, since 1970-01-01).
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
        revenue_by_group = fixed_point.sums(group, price, size * groups)
        returned = self._returned_items(items, position)
        pairs: Pairs = (((position * groups + category) << 1) | returned).astype(self._pair_type)
        if nearly_in_order(pairs):
            sort(pairs)  # here, by several threads and in the cache
        totals = Totals(
            items=count,
            revenue=fixed_point.row_sums(revenue_by_group.reshape(size, groups)),
            category_revenue=revenue_by_group,
            pairs=[pairs],
        )
        if self._with_products:
            units = np.ones(len(price), np.int64) if quantity is None else quantity
            totals.sales.append((position, items.column("product_id"), price, units, returned))
        return totals, len(position), self._dates[np.flatnonzero(present)]

    def add(self, batch: Totals) -> None:
        """Add what `measure` returned."""
        totals = self._totals
        totals.items = fixed_point.add(totals.items, batch.items)
        totals.revenue = fixed_point.add(totals.revenue, batch.revenue)
        totals.category_revenue = fixed_point.add(totals.category_revenue, batch.category_revenue)
        totals.pairs += batch.pairs
        totals.sales += batch.sales

    def close(self) -> None:
        """No more items will come: give back the memory that finding their orders takes."""
        self._index = KeyIndex(NO_KEYS)

    def __len__(self) -> int:
        return len(self._day)

    def order_kpis(self) -> pa.Table:
        """Daily order KPIs: `ORDER_KPIS`, one row per day that has an order, ascending."""
        size = len(self._dates)
        orders = fixed_point.counts(self._day, size)
        returned = fixed_point.counts(self._day[self._returned], size)
        return pa.table(
            [
                self._date_array(np.arange(size)),
                pa.array(orders),
                self._money(self._totals.revenue),
                pa.array(self._totals.items),
                _rate(returned, orders),
                pa.array(self._customers),
            ],
            schema=arrow_schema(ORDER_KPIS),
        )

    def category_kpis(self) -> pa.Table:
        """Daily category KPIs: `CATEGORY_KPIS`, ascending by day, then category."""
        orders, returned = self._orders_by_group()
        filled = np.flatnonzero(orders)
        orders, returned = orders[filled], returned[filled]
        revenue = self._totals.category_revenue[filled]
        names = pa.array(self._products.categories, pa.string())
        return pa.table(
            [
                self._date_array(filled // self._groups),
                names.take(pa.array(filled % self._groups)),
                self._money(revenue),
                _average(revenue, orders, self._scale),
                _rate(returned, orders),
            ],
            schema=arrow_schema(CATEGORY_KPIS),
        )

    def _orders_by_group(self) -> tuple[Int64s, Int64s]:
        """Orders of each day and category, and those of them with a returned item."""
        size = len(self._dates) * self._groups
        every = np.concatenate([np.zeros(0, self._pair_type), *self._totals.pairs])
        self._totals.pairs = [every]
        sort_runs(every, self._apply)

        def count(starts: range) -> tuple[Int64s, Int64s]:
            orders, returned = np.zeros(size, np.int64), np.zeros(size, np.int64)
            for start in starts:
                pairs, with_return = _distinct_pairs(every, start, start + BLOCK_KEYS)
                position, category = np.divmod(pairs, self._groups)
                group = self._day[position] * np.int64(self._groups) + category
                orders += np.bincount(group, minlength=size)
                returned += np.bincount(group[with_return], minlength=size)
            return orders, returned

        starts = range(0, len(every), BLOCK_KEYS)
        (orders, returned), (more, more_returned) = self._apply(count, (starts[::2], starts[1::2]))
        return orders + more, returned + more_returned

    def product_kpis(self) -> pa.Table:
        """Daily product KPIs: `PRODUCT_KPIS`, ascending by day, then product id."""
        sales = self._totals.sales
        if not sales:
            return arrow_schema(PRODUCT_KPIS).empty_table()
        position = _concatenate([one[0] for one in sales])
        ids = pa.chunked_array([one[1] for one in sales])
        texts = (uuid_texts(ids) if ids.type == UUID else ids.cast(pa.string())).combine_chunks()
        names = pc.unique(texts).sort()
        product = pc.index_in(texts, value_set=names).to_numpy(zero_copy_only=False)
        price = _concatenate([one[2] for one in sales])
        units = _concatenate([one[3] for one in sales])
        returned = np.concatenate([one[4] for one in sales])
        every = ((position * len(names) + product) << 1) | returned
        sort(every, self._apply)
        pairs, ever = _distinct_pairs(every, 0, len(every))
        day = self._day.astype(np.int64)
        of_pair = day[pairs // len(names)] * len(names) + pairs % len(names)
        groups = day[position] * len(names) + product
        rows = fixed_point.distinct(groups)
        codes = np.searchsorted(rows, groups)
        pair_codes = np.searchsorted(rows, of_pair)
        orders = np.bincount(pair_codes, minlength=len(rows)).astype(np.int64)
        with_return = np.bincount(pair_codes[ever], minlength=len(rows)).astype(np.int64)
        return pa.table(
            [
                self._date_array(rows // len(names)),
                names.take(pa.array(rows % len(names))),
                pa.array(fixed_point.sums(codes, units, len(rows))),
                self._money(fixed_point.sums(codes, price, len(rows))),
                pa.array(orders),
                _rate(with_return, orders),
            ],
            schema=arrow_schema(PRODUCT_KPIS),
        )

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

    def _date_array(self, codes: npt.NDArray[np.integer]) -> pa.Array:
        return pa.array(self._dates[codes].astype(np.int32)).cast(pa.date32())

    def _money(self, units: Int64s) -> pa.Array:
        return fixed_point.to_decimals(fixed_point.at_scale(units, self._scale, MONEY.scale), MONEY)


def _distinct_pairs(ordered: Pairs, start: int, end: int) -> tuple[Pairs, Mask]:
    """Some of many pairs in order: those that differ but for their last bit, without it, and
    whether it was ever set. The last of its like stands for each."""
    pairs = ordered[start : end + 1]
    keys = pairs >> 1
    last = np.ones(min(end, len(ordered)) - start, bool)
    np.not_equal(keys[1:], keys[:-1], out=last[: len(keys) - 1])
    at = np.flatnonzero(last)
    return keys[at], (pairs[at] & 1).astype(bool)


def _rate(part: Int64s, whole: Int64s) -> pa.Array:
    return fixed_point.to_decimals(fixed_point.half_even(part * RATE_ONE, whole), RATE)


def _average(units: Int64s, count: Int64s, scale: int) -> pa.Array:
    if scale < MONEY.scale:
        units, scale = fixed_point.at_scale(units, scale, MONEY.scale), MONEY.scale
    return fixed_point.to_decimals(fixed_point.half_even(units, count, scale - MONEY.scale), MONEY)


def _concatenate(arrays: Sequence[Int64s]) -> Int64s:
    return np.concatenate(arrays) if arrays else np.zeros(0, np.int64)
