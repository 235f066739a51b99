"""Facts of a shop: which orders count, and the money, quantity and state of each line.

Orders, lines and refunds are joined here; `shop_kpis` only adds up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kpi.aggregation.shop_columns import column_of, one_array, texts_of, units_of
from kpi.aggregation.shop_lookups import Lookups
from kpi.aggregation.shop_money import (
    ONE_FACTOR,
    LineMoney,
    amounts,
    line_money,
    quantities,
    refund_amounts,
)
from kpi.aggregation.shop_versions import LatestRows, distinct_keys, find_rows, key_columns
from kpi.aggregation.tables import NO_CATEGORY, UNKNOWN_CATEGORY
from kpi.contract.shop import AS_WRITTEN, Shop
from kpi.kernels.arrays import Int64s, Mask, Positions
from kpi.kernels.instants import MICROSECONDS_PER_DAY
from kpi.kernels.masks import booleans, true, valid
from kpi.kernels.time_zones import to_local
from kpi.mapping.conditions import holds
from kpi.mapping.mapper import DAY

Days = npt.NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class OrderFacts:
    """Orders, each once.

    Attributes:
        day: Of each.
        user: Customer; null where it is not known. None where the contract has none.
        counts: Whether it counts.
        excluded: Whether the contract leaves it out.
        other_currency: Whether its money is in another currency, without a rate.
        returned: Whether it was returned.
        discount: Of the whole order, at 4 places.
        refund: Of the column, likewise.
        total: Money of an order without lines.
        quantity: Pieces of an order without lines, at 3 places.
    """

    day: Days
    user: pa.Array | None
    counts: Mask
    excluded: Mask
    other_currency: Mask
    returned: Mask
    discount: Int64s
    refund: Int64s
    total: Int64s
    quantity: Int64s


@dataclass(frozen=True, kw_only=True)
class LineFacts:
    """Lines of orders that count, excluded lines left out.

    Attributes:
        order: Position of each line's order.
        money: Of each.
        quantity: Pieces at 3 places.
        returned: Whether it was returned.
        category: None where the contract has no categories.
        product: Text of its product; None where the contract has none.
    """

    order: Positions
    money: LineMoney
    quantity: Int64s
    returned: Mask
    category: pa.Array | None
    product: pa.Array | None


@dataclass(frozen=True, kw_only=True)
class RefundFacts:
    """Refund rows that count: the day of each and its size at 4 places."""

    day: Days
    amount: Int64s


@dataclass(frozen=True, kw_only=True)
class ShopFacts:
    """What a shop's rows are.

    Attributes:
        orders: Orders.
        lines: Lines; None where the contract has none.
        refunds: Refund rows; None where the contract has none.
        waiting: For each dataset, whether each latest row waits for another.
        provisional: Days of which something has not come or was not said.
    """

    orders: OrderFacts
    lines: LineFacts | None
    refunds: RefundFacts | None
    waiting: Mapping[str, Mask]
    provisional: Days


def gather_facts(shop: Shop, rows: Mapping[str, LatestRows]) -> ShopFacts:
    """Join the latest rows of all datasets.

    Args:
        shop: Contract.
        rows: Latest rows by dataset or reference; each that the contract has.
    """
    return _Gathering(shop, rows).facts()


class _Gathering:
    """State of one join."""

    def __init__(self, shop: Shop, rows: Mapping[str, LatestRows]) -> None:
        self._shop = shop
        self._rows = rows
        self._lookups = Lookups(shop, rows)
        self._waiting: dict[str, Mask] = {}
        self._unsettled: list[Days] = [np.zeros(0, np.int32)]
        self._orders = self._order_rows()
        self._day = _days(self._orders)
        self._keys = key_columns(self._orders, ["order_id"])
        self._items, self._of_item, self._item_missing = self._item_rows()
        self._refunds, self._of_refund = self._refund_rows()

    def facts(self) -> ShopFacts:
        shop = self._shop
        size = self._orders.num_rows
        excluded = self._holds("orders", self._orders, "excluded")
        order_rate, other = self._rates(self._orders)
        item_rate: Int64s | None = None
        has_items = np.zeros(size, bool)
        counted = np.zeros(size, bool)
        item_excluded = np.zeros(0, bool)
        if self._items is not None:
            item_excluded = self._holds("order_items", self._items, "excluded")
            item_rate, item_other = self._rates(self._items, order_rate, self._of_item)
            has_items[self._of_item] = True
            counted[self._of_item[~item_excluded]] = True
            other[self._of_item[item_other & ~item_excluded]] = True
            excluded |= has_items & ~counted
        other &= ~excluded
        counts = ~excluded & ~other
        lines, returned = self._lines(counts, item_excluded, item_rate)
        orders = OrderFacts(
            day=self._day,
            user=column_of(self._orders, "user_id"),
            counts=counts,
            excluded=excluded,
            other_currency=other,
            returned=returned,
            discount=amounts(self._orders, "discount", order_rate),
            refund=amounts(self._orders, "refund", order_rate),
            total=amounts(self._orders, "total", order_rate),
            quantity=quantities(self._orders)[0],
        )
        refunds = None
        if self._refunds is not None:
            refunds = self._refund_facts(self._refunds, excluded | other)
        if not shop.has("order_items", "order_id"):
            self._note_blank(self._orders, "total", counts)
        return ShopFacts(
            orders=orders,
            lines=lines,
            refunds=refunds,
            waiting=self._waiting,
            provisional=np.unique(np.concatenate(self._unsettled)).astype(np.int32),
        )

    def _order_rows(self) -> pa.Table:
        dataset = self._shop.datasets["orders"]
        table = self._rows["orders"].table
        days = None if dataset.columns["created_at"].via else _days(table)
        table, missing = self._lookups.resolve(dataset, table, days)
        if days is None:
            table, days = self._with_days(table)
        waits = np.zeros(table.num_rows, bool)
        for name, absent in missing.items():
            if dataset.columns[name].required:
                waits |= absent
            self._unsettled.append(days[absent & ~waits])
        self._waiting["orders"] = waits
        return table.filter(booleans(~waits)) if waits.any() else table

    def _with_days(self, table: pa.Table) -> tuple[pa.Table, Days]:
        """Add the day of each order whose time was looked up."""
        created = one_array(table, "created_at")
        instants = created.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
        if self._shop.day != AS_WRITTEN:
            instants = to_local(instants, self._shop.day)
        days = (instants // MICROSECONDS_PER_DAY).astype(np.int32)
        shown = pa.array(days, pa.int32(), mask=~valid(created))
        return table.append_column(pa.field(DAY, pa.int32()), shown), days

    def _item_rows(self) -> tuple[pa.Table | None, Positions, dict[str, Mask]]:
        """Lines whose order is there, and its position."""
        if "order_items" not in self._shop.datasets:
            return None, np.zeros(0, np.int64), {}
        return self._joined("order_items")

    def _refund_rows(self) -> tuple[pa.Table | None, Positions]:
        if "refunds" not in self._shop.datasets:
            return None, np.zeros(0, np.int64)
        table = self._rows["refunds"].table
        at = self._positions(table)
        days = np.append(self._day, np.int32(0))[at]
        table, _ = self._lookups.resolve(self._shop.datasets["refunds"], table, days)
        # A refund without a day of its own waits for its order.
        own = column_of(table, DAY)
        has_day = np.zeros(len(at), bool) if own is None else valid(own)
        waits = ~has_day & (at < 0)
        self._waiting["refunds"] = waits
        return table.filter(booleans(~waits)), at[~waits]

    def _joined(self, name: str) -> tuple[pa.Table, Positions, dict[str, Mask]]:
        dataset = self._shop.datasets[name]
        table = self._rows[name].table
        at = self._positions(table)
        gone = self._gone(table)
        table_days = np.append(self._day, np.int32(0))[at]
        table, missing = self._lookups.resolve(dataset, table, table_days)
        waits = (at < 0) & ~gone
        for column, absent in missing.items():
            if dataset.columns[column].required:
                waits |= absent & ~gone
            self._unsettled.append(table_days[absent & (at >= 0)])
        self._waiting[name] = waits
        keep = (at >= 0) & ~waits
        kept = {column: absent[keep] for column, absent in missing.items()}
        return table.filter(booleans(keep)), at[keep], kept

    def _positions(self, table: pa.Table) -> Positions:
        """Position of each row's order; -1 where it is not there."""
        if "order_id" not in table.schema.names:
            return np.full(table.num_rows, -1, np.int64)
        return find_rows(self._keys, key_columns(table, ["order_id"]))

    def _gone(self, table: pa.Table) -> Mask:
        """Whether the order of each row is gone (rule 5)."""
        gone = self._rows["orders"].gone
        if gone is None or not gone.num_rows:
            return np.zeros(table.num_rows, bool)
        return find_rows(key_columns(gone, ["order_id"]), key_columns(table, ["order_id"])) >= 0

    def _holds(self, name: str, table: pa.Table, what: str) -> Mask:
        conditions = getattr(self._shop.datasets[name], what) or ()
        return holds(conditions, lambda column: texts_of(table, column), table.num_rows)

    def _rates(
        self,
        table: pa.Table,
        of_order: Int64s | None = None,
        order: Positions | None = None,
    ) -> tuple[Int64s | None, Mask]:
        """Rates that money is divided by, and where money is of another currency without one."""
        rows = table.num_rows
        none = np.zeros(rows, bool)
        currency, rate = column_of(table, "currency"), units_of(table, "rate")
        other = none
        if currency is not None:
            mine = pc.equal(pc.utf8_upper(currency.cast(pa.string())), self._shop.currency or "")
            other = valid(currency) & ~true(mine)
        if rate is None:
            if of_order is None or order is None:
                return None, other
            # Lines without a rate of their own have that of their order.
            divisor = of_order[order]
            return divisor, other & (divisor == ONE_FACTOR)
        units, has = rate
        has &= units > 0
        return np.where(has, units, ONE_FACTOR), other & ~has

    def _lines(
        self, counts: Mask, item_excluded: Mask, rate: Int64s | None
    ) -> tuple[LineFacts | None, Mask]:
        """Find the lines that count, and the orders that are returned (rule 10)."""
        orders, refunds = self._shop.datasets["orders"], self._shop.datasets.get("refunds")
        returned = self._holds("orders", self._orders, "returned")
        if self._refunds is not None:
            returned[self._of_refund[self._of_refund >= 0]] = True
        if self._items is None:
            return None, returned
        items = self._shop.datasets["order_items"]
        by_items = refunds is not None and "item" in refunds.columns
        item_returned = self._holds("order_items", self._items, "returned")
        if by_items:
            item_returned |= self._refunded_items(self._items)
        keep = ~item_excluded & counts[self._of_item]
        if orders.returned is None:
            returned[self._of_item[item_returned & keep]] = True
        if items.returned is None and not by_items:
            item_returned = returned[self._of_item]
        table, order = self._items.filter(booleans(keep)), self._of_item[keep]
        money = line_money(table, None if rate is None else rate[keep])
        quantity, blank = quantities(table)
        if self._has_money():
            blank = blank | money.unpriced
        self._unsettled.append(self._day[order[blank]])
        missing = self._item_missing.get("category", np.zeros(len(keep), bool))[keep]
        lines = LineFacts(
            order=order,
            money=money,
            quantity=quantity,
            returned=item_returned[keep],
            category=self._categories(table, missing, self._day[order]),
            product=column_of(table, "product_id"),
        )
        return lines, returned

    def _has_money(self) -> bool:
        return self._shop.has(
            "order_items", "unit_price", "before_discount", "discount", "after_discount"
        )

    def _refunded_items(self, items: pa.Table) -> Mask:
        """Lines that a refund row names by the last column of their key, within its order."""
        key = self._shop.datasets["order_items"].key
        if self._refunds is None or key[-1] not in items.schema.names:
            return np.zeros(items.num_rows, dtype=bool)
        named = self._refunds.filter(self._refunds.column("item").is_valid())
        columns = ["item"]
        if "order_id" in named.schema.names:
            named = named.filter(named.column("order_id").is_valid())
            columns.insert(0, "order_id")
        own = items.select([*columns[:-1], key[-1]])
        return find_rows(distinct_keys(named, columns), key_columns(own, own.column_names)) >= 0

    def _categories(self, table: pa.Table, missing: Mask, days: Days) -> pa.Array | None:
        """Category of each line (rule 17)."""
        own = column_of(table, "category")
        if own is None and "products" not in self._shop.datasets:
            return None
        if own is None:
            own = pa.nulls(table.num_rows, pa.string())
        if "products" in self._shop.datasets and "product_id" in table.schema.names:
            of_product, unknown = self._product_categories(table)
            self._unsettled.append(days[unknown & ~valid(own)])
            own = pc.coalesce(own, of_product)
        own = pc.if_else(pa.array(missing), UNKNOWN_CATEGORY, own)
        return own.fill_null(NO_CATEGORY)

    def _product_categories(self, table: pa.Table) -> tuple[pa.Array, Mask]:
        """Category of each line's product, and where the product has not come."""
        dataset = self._shop.datasets["products"]
        products, missing = self._lookups.resolve(dataset, self._rows["products"].table, None)
        names = column_of(products, "category")
        if names is None:
            names = pa.nulls(products.num_rows, pa.string())
        absent = missing.get("category")
        if absent is not None:
            names = pc.if_else(pa.array(absent), UNKNOWN_CATEGORY, names)
        ids = column_of(table, "product_id")
        has = valid(ids)
        at = find_rows(key_columns(products, ["id"]), key_columns(table, ["product_id"]))
        unknown = has & (at < 0)
        found = names.take(pa.array(at, mask=(at < 0) | ~has))
        return pc.if_else(pa.array(unknown), UNKNOWN_CATEGORY, found), unknown

    def _refund_facts(self, table: pa.Table, left_out: Mask) -> RefundFacts:
        order = self._of_refund
        rate, other = self._rates(table)
        keep = ~self._holds("refunds", table, "excluded") & ~other
        keep &= ~np.append(left_out, False)[order]
        amount = refund_amounts(table, rate)
        days = np.append(self._day, np.int32(0))[order]
        own = column_of(table, DAY)
        if own is not None:
            days = np.where(valid(own), own.fill_null(0).to_numpy(zero_copy_only=False), days)
        self._unsettled.append(days[other].astype(np.int32))
        return RefundFacts(day=days[keep].astype(np.int32), amount=amount[keep])

    def _note_blank(self, table: pa.Table, name: str, counts: Mask) -> None:
        found = units_of(table, name)
        if found is not None:
            self._unsettled.append(self._day[~found[1] & counts])


def _days(table: pa.Table) -> Days:
    return one_array(table, DAY).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int32)
