"""Orders of some days with their lines and refunds, added up piece by piece.

A slice holds whole days, so every count in it is final. Orders come first, then the refund rows of
their days and ids, then their lines, in pieces of any size and order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from kpi.aggregation.calendar import Days
from kpi.aggregation.shop_columns import column_of, encoded, one_array, texts_of
from kpi.aggregation.shop_facts import OrderFacts, RefundFacts, ShopFacts
from kpi.aggregation.shop_lines import (
    Codes,
    LineColumns,
    Lines,
    Lock,
    TextCodes,
    concat_lines,
    own_categories,
)
from kpi.aggregation.shop_lookups import LookupTables
from kpi.aggregation.shop_money import line_money, quantities, refund_amounts
from kpi.aggregation.shop_orders import Orders, not_come, rates, waits, without_waiting
from kpi.aggregation.shop_versions import key_columns
from kpi.aggregation.tables import NO_CATEGORY
from kpi.contract.conditions import Conditions
from kpi.contract.shop import Shop
from kpi.kernels.arrays import Int64s, Mask, Positions
from kpi.kernels.hash_index import KeyIndex
from kpi.kernels.keys import latest_rows
from kpi.kernels.masks import booleans, valid
from kpi.kernels.sorting import SERIAL, Execution
from kpi.mapping.clean_rows import DAY
from kpi.mapping.conditions import holds


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Some lines, and how many of them wait for a value that the contract requires."""

    columns: Lines
    waiting: int


class ShopSlice:
    """Some days of a shop. Several threads may add lines at once.

    Attributes:
        shop: Contract.
        orders: The orders.
        columns: What the KPIs need of lines.
        categories: Codes of categories.
        products: Codes of products.
    """

    def __init__(
        self,
        shop: Shop,
        orders: Orders,
        shown: Mask,
        columns: LineColumns,
        lock: Lock,
        execution: Execution = SERIAL,
    ) -> None:
        """Start without refunds and lines.

        Args:
            shop: Contract.
            orders: Those of the days, and those that refunds of the days name.
            shown: Which of them are of the days.
            columns: What the KPIs need of lines.
            lock: Lets one thread at a time add.
            execution: How to use the machine.
        """
        self.orders = orders
        self.shop = self._shop = shop
        self.columns = columns
        self._shown = shown
        self._tables = LookupTables(shop=shop, rows={})
        self._execution = execution
        self._index: KeyIndex | None = KeyIndex(orders.keys, execution)
        size = len(orders)
        self._has_lines = np.zeros(size, bool)
        self._has_counted_lines = np.zeros(size, bool)
        self._other = orders.other.copy()
        self._unsettled = orders.unsettled.copy()
        self._unsaid = orders.unsaid.copy()
        self._refunded = np.zeros(size, bool)
        self._refunds: pa.Table | None = None
        self._of_refund: Positions = np.zeros(0, np.int64)
        self._refunded_items: KeyIndex | None = None
        self._item_key: tuple[str, ...] = ()
        self._lines: list[Lines] = []
        self._lock = lock
        self.categories, self.products = TextCodes(lock), TextCodes(lock)

    def __len__(self) -> int:
        return len(self.orders)

    def find(self, table: pa.Table) -> Positions:
        """Find the order of each row; -1 where it is not in the slice."""
        if "order_id" not in table.schema.names or self._index is None:
            return np.full(table.num_rows, -1, np.int64)
        return self._index.find(key_columns(table, ["order_id"]))

    def use(self, tables: LookupTables) -> None:
        """Set the rows that look-ups of refunds and lines read."""
        self._tables = tables

    def add_refunds(self, table: pa.Table) -> Mask:
        """Add all refund rows that concern the slice: its days, or its orders.

        Returns:
            The rows that wait for their order, as they have no day of their own.
        """
        at, own = self.find(table), column_of(table, DAY)
        days = np.append(self.orders.day, np.int32(0))[at]
        if own is not None:  # what is in force for a refund without its order is that of its day
            own_days = own.fill_null(0).to_numpy(zero_copy_only=False)
            days = np.where(at < 0, own_days, days).astype(np.int32)
        dataset = self._shop.datasets["refunds"]
        table, _ = self._tables.resolve(dataset, table, days)
        waiting = at < 0 if own is None else (at < 0) & ~valid(own)
        # A refund that does not count returns nothing either.
        keep = ~waiting & ~_holds(dataset.excluded, table)
        self._refunds, self._of_refund = table.filter(booleans(keep)), at[keep]
        self._refunded[self._of_refund[self._of_refund >= 0]] = True
        if self._by_items:
            self._index_refunded_items()
        return waiting

    @property
    def _by_items(self) -> bool:
        refunds = self._shop.datasets.get("refunds")
        has_lines = "order_items" in self._shop.datasets
        return has_lines and refunds is not None and "item" in refunds.columns

    def _index_refunded_items(self) -> None:
        """Find the lines that refunds name by the last part of their key, within their order."""
        key = self._shop.datasets["order_items"].key
        refunds = self._refunds
        if refunds is None or key[-1] not in self._shop.datasets["order_items"].columns:
            return
        named = refunds.filter(refunds.column("item").is_valid())
        columns = ["item"]
        if "order_id" in named.schema.names:
            named = named.filter(named.column("order_id").is_valid())
            columns.insert(0, "order_id")
        keys = key_columns(named, columns)
        self._refunded_items = KeyIndex(keys.take(latest_rows(keys)), self._execution)
        self._item_key = (*columns[:-1], key[-1])

    def count_shown(self, at: Positions) -> int:
        """Count the lines whose order is of the days."""
        return int(np.count_nonzero(np.append(self._shown, False)[at]))

    def measure(self, table: pa.Table, at: Positions) -> Measured | None:
        """Compute what the KPIs need of some lines, and note what they say of their orders.

        Args:
            table: Latest lines.
            at: Position of each line's order; -1 for one of another day.

        Returns:
            None where no line counts.
        """
        known = at >= 0
        if not known.any():
            return None
        if not known.all():
            table, at = table.filter(booleans(known)), at[known]
        dataset = self._shop.datasets["order_items"]
        table, missing = self._tables.resolve(dataset, table, self.orders.day[at])
        for absent in not_come(self._shop, table, missing):
            self._unsettled[at[absent]] = True
        waiting = waits(self._shop, "order_items", missing, len(at))
        waiting_shown = self.count_shown(at[waiting])
        table, missing = without_waiting(table, missing, waiting)
        at = at[~waiting] if waiting.any() else at
        excluded = _holds(dataset.excluded, table) if dataset.excluded else np.zeros(len(at), bool)
        of_order = None if self.orders.rate is None else self.orders.rate[at]
        has_rate = None if self.orders.has_rate is None else self.orders.has_rate[at]
        rate, other = rates(self._shop, table, of_order, has_rate)
        self._has_lines[at] = True
        self._has_counted_lines[at if not excluded.any() else at[~excluded]] = True
        if other.any():
            self._other[at[other & ~excluded]] = True
        keep = ~excluded & self._shown[at]
        if not keep.all():
            kept = booleans(keep)
            table, at = table.filter(kept), at[keep]
            rate = None if rate is None else rate[keep]
            missing = {name: absent[keep] for name, absent in missing.items()}
        lines = self._line_columns(table, at, rate, missing)
        return Measured(columns=lines, waiting=waiting_shown)

    def add(self, lines: Lines) -> None:
        """Add measured lines."""
        with self._lock:
            self._lines.append(lines)

    def _line_columns(
        self, table: pa.Table, at: Positions, rate: Int64s | None, missing: Mapping[str, Mask]
    ) -> Lines:
        wanted = self.columns
        quantity, blank = quantities(table) if wanted.quantity else (None, None)
        money = line_money(table, rate) if wanted.money else None
        for unsaid in (blank, None if money is None else money.unpriced):
            if unsaid is not None and unsaid.any():
                self._unsaid[at[unsaid]] = True
        return Lines(
            order=at.astype(np.int32),
            money=None if money is None else money.money,
            before=money.before if money is not None and wanted.before else None,
            unknown=money.unknown if money is not None and wanted.before else None,
            discount=money.discount if money is not None and wanted.discount else None,
            quantity=quantity,
            returned=self._returned_lines(table),
            category=self._category_codes(table, at, missing) if wanted.category else None,
            product=self._product_codes(table) if wanted.product else None,
        )

    def _returned_lines(self, table: pa.Table) -> Mask | None:
        """Find the lines that their own condition or a refund returns (rule 10)."""
        returned = self._shop.datasets["order_items"].returned
        if returned is None and not self._by_items:
            return None
        found = _holds(returned or (), table)
        if self._refunded_items is not None:
            found |= self._refunded_items.find(key_columns(table, self._item_key)) >= 0
        return found

    def _category_codes(self, table: pa.Table, at: Positions, missing: Mapping[str, Mask]) -> Codes:
        own = own_categories(table, missing.get("category"))
        if "products" not in self._shop.datasets or "product_id" not in table.schema.names:
            return self.categories.codes(own.fill_null(NO_CATEGORY) if own.null_count else own)
        if own.null_count < len(own):
            own_codes = self.categories.codes(own.fill_null(NO_CATEGORY))
        names, place = encoded(column_of(table, "product_id"))
        of_product, unknown = self._tables.categories(names)
        of_line = np.append(unknown, False)[place]
        if of_line.any():
            self._unsaid[at[of_line & ~valid(own)]] = True
        # A line without a product, at place -1, has no category.
        texts = pa.concat_arrays([of_product.fill_null(NO_CATEGORY), pa.array([NO_CATEGORY])])
        codes = self.categories.codes(texts)[place]
        return codes if own.null_count == len(own) else np.where(valid(own), own_codes, codes)

    def _product_codes(self, table: pa.Table) -> Codes:
        products = one_array(table, "product_id").cast(pa.string())
        return self.products.codes(products.fill_null(NO_CATEGORY))

    def close(self) -> None:
        """Free what finds orders, once no more lines will come."""
        self._index = self._refunded_items = None

    def facts(self) -> ShopFacts:
        """Decide which orders count and are returned, and gather their lines and refunds."""
        shop, orders = self._shop, self.orders
        excluded = orders.excluded | (self._has_lines & ~self._has_counted_lines)
        other = self._other & ~excluded
        counts = ~excluded & ~other
        returned = orders.returned | self._refunded
        lines = concat_lines(self._lines) if self._lines else None
        self._lines = []
        if lines is not None:
            lines = _of_orders(lines, counts)
            if shop.datasets["orders"].returned is None and lines.returned is not None:
                returned[lines.order[lines.returned]] = True
        unsettled = [orders.day[(self._unsettled | (self._unsaid & counts)) & self._shown]]
        refunds = None
        if self._refunds is not None:
            refunds, open_days = self._refund_facts(self._refunds, excluded | other)
            unsettled.append(open_days)
        return ShopFacts(
            orders=OrderFacts(
                orders=orders,
                shown=self._shown,
                counts=counts & self._shown,
                excluded=excluded & self._shown,
                other=other & self._shown,
                returned=returned,
            ),
            lines=lines,
            refunds=refunds,
            open_days=np.concatenate(unsettled),
        )

    def _refund_facts(self, table: pa.Table, left_out: Mask) -> tuple[RefundFacts, Days]:
        order = self._of_refund
        rate, other = rates(self._shop, table)
        keep = ~other & ~np.append(left_out, False)[order]
        amount = refund_amounts(table, rate)
        days = np.append(self.orders.day, np.int32(0))[order]
        own = column_of(table, DAY)
        if own is not None:
            days = np.where(valid(own), own.fill_null(0).to_numpy(zero_copy_only=False), days)
        days = days.astype(np.int32)
        return RefundFacts(day=days[keep], amount=amount[keep]), days[other]


def _of_orders(lines: Lines, counts: Mask) -> Lines:
    """Leave out the lines of orders that do not count."""
    keep = counts[lines.order]
    if keep.all():
        return lines
    columns = {name: getattr(lines, name) for name in Lines.__dataclass_fields__}
    return Lines(
        **{name: None if one is None else one[keep] for name, one in columns.items()}  # type: ignore[arg-type]
    )


def _holds(conditions: Conditions, table: pa.Table) -> Mask:
    return holds(conditions, lambda name: texts_of(table, name), table.num_rows)
