"""Order lines of a shop in compact columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kpi.aggregation.shop_columns import column_of, encoded
from kpi.aggregation.shop_money import DISCOUNTS, MONEY_OF_A_LINE
from kpi.aggregation.tables import UNKNOWN_CATEGORY
from kpi.contract.shop import Shop
from kpi.kernels.arrays import Int64s, Mask

Lock = AbstractContextManager[object]
"""Lets one thread at a time in. `kpi` starts no threads: who calls it from several passes one."""

Codes = npt.NDArray[np.int32]
"""Numbers of texts; see `TextCodes`."""


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Lines of orders of some days, excluded lines left out.

    Attributes:
        order: Position of each line's order.
        money: After discounts, at 4 places; None where the contract has no money of lines.
        before: Before discounts; None where it is `money`, or where nobody asks.
        unknown: Where that is not known; None where nowhere.
        discount: What was taken off; None where nothing.
        quantity: Pieces at 3 places; None where each line is one.
        returned: Whether it was returned; None where its order says so.
        category: Code of its category; None where the contract has none.
        product: Code of its product; None where nobody asks.
    """

    order: Codes
    money: Int64s | None
    before: Int64s | None
    unknown: Mask | None
    discount: Int64s | None
    quantity: Int64s | None
    returned: Mask | None
    category: Codes | None
    product: Codes | None

    def __len__(self) -> int:
        return len(self.order)


@dataclass(frozen=True, kw_only=True)
class LineColumns:
    """Columns of lines that the KPIs of a contract need.

    Attributes:
        money: Money after discounts.
        before: Money before discounts, and it may differ.
        discount: Discounts of lines.
        quantity: Pieces, where the contract says them.
        category: Categories.
        product: Products.
    """

    money: bool
    before: bool
    discount: bool
    quantity: bool
    category: bool
    product: bool

    @classmethod
    def of(cls, shop: Shop, *, with_categories: bool, with_products: bool) -> LineColumns:
        """Find the columns that a contract, and the tables that are asked for, need."""
        differ = shop.has("order_items", *DISCOUNTS, "after_discount")
        return cls(
            money=shop.has("order_items", *MONEY_OF_A_LINE),
            before=differ and shop.has("order_items", "unit_price", "before_discount"),
            discount=differ,
            quantity=shop.has("order_items", "quantity"),
            category=with_categories
            and (shop.has("order_items", "category") or "products" in shop.datasets),
            product=with_products and shop.has("order_items", "product_id"),
        )


def concat_lines(parts: Sequence[Lines]) -> Lines:
    """Put the lines of some parts, one at least, after each other."""

    def joined(name: str) -> npt.NDArray[np.generic] | None:
        columns = [getattr(part, name) for part in parts]
        if all(column is None for column in columns):
            return None
        filled = [
            np.zeros(len(part), bool) if column is None else column
            for part, column in zip(parts, columns, strict=True)
        ]
        return np.concatenate(filled)

    columns: Mapping[str, object] = {name: joined(name) for name in Lines.__dataclass_fields__}
    return Lines(**columns)  # type: ignore[arg-type]


class TextCodes:
    """Numbers texts from 0 in the order in which they come; a lock lets several threads ask."""

    def __init__(self, lock: Lock) -> None:
        self._codes: dict[str, int] = {}
        self._lock = lock

    @property
    def texts(self) -> list[str]:
        """The texts by their codes."""
        return list(self._codes)

    def codes(self, texts: pa.Array) -> Codes:
        """Return the code of each text; none may be null."""
        names, at = encoded(texts)
        with self._lock:
            known = [self._codes.setdefault(one, len(self._codes)) for one in names.to_pylist()]
        return np.array([*known, 0], np.int32)[at]


def own_categories(table: pa.Table, missing: Mask | None) -> pa.Array:
    """Return the category that each line has itself, unknown where it has not come."""
    own = column_of(table, "category")
    if own is None:
        return pa.nulls(table.num_rows, pa.string())
    if missing is not None and missing.any():
        own = pc.if_else(pa.array(missing), UNKNOWN_CATEGORY, own)
    return own
