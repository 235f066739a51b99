"""Contracts, slices of days and items for tests."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from kpi.aggregation.day_slice import DaySlice, build_day_slice
from kpi.aggregation.item_sums import Measured
from kpi.aggregation.products import Products
from kpi.contract.loading import parse_contract
from kpi.contract.model import Contract
from kpi.kernels.keys import Keys, keys_of

CONTRACT = """
[orders]
key = ["order_id"]
returned = ["returned", "Sent Back"]
[orders.columns]
order_id = {{ type = "{ids}", required = true }}
user_id = {{ type = "{ids}", required = true }}
created_at = {{ type = "timestamp", required = true }}
status = {{ type = "string" }}
[order_items]
key = ["id"]
price_per = "{price_per}"
[order_items.columns]
id = {{ type = "{ids}", required = true }}
order_id = {{ type = "{ids}", required = true }}
product_id = {{ type = "{ids}", required = true }}
{optional}
sale_price = {{ type = "decimal", precision = 18, scale = {scale}, required = true }}
[products]
key = ["id"]
[products.columns]
id = {{ type = "{ids}", required = true }}
category = {{ type = "string" }}
"""


def keys(values: pa.Array) -> Keys:
    return keys_of([pa.chunked_array([values])])


def measure(day_slice: DaySlice, batch: pa.RecordBatch) -> Measured:
    return day_slice.measure(batch, day_slice.find(keys(batch.column("order_id"))))


def contract_of(
    *, ids: str = "integer", price_per: str = "line", scale: int = 2, optional: str = ""
) -> Contract:
    text = CONTRACT.format(ids=ids, price_per=price_per, scale=scale, optional=optional)
    return parse_contract(text, source="test")


def slice_of(contract: Contract, orders: int, **options: Any) -> DaySlice:
    """A slice of one day, orders 0, 1, ... of as many customers; by itself no product is known."""
    ids = pa.array(range(orders), pa.int64())
    unknown = Products(pa.array([], pa.int64()), pa.array([], pa.string()))
    given = {"products": unknown, **options}
    return build_day_slice(
        contract=contract,
        orders=keys(ids),
        days=np.zeros(orders, np.int32),
        users=keys(ids),
        returned=np.zeros(orders, bool),
        **given,
    )


def items_of(prices: list[Decimal], kind: pa.DataType, **more: pa.Array) -> pa.RecordBatch:
    size = len(prices)
    arrays = {
        "order_id": pa.array([0] * size, pa.int64()),
        "product_id": pa.array(range(size), pa.int64()),
        "sale_price": pa.array(prices, kind),
        **more,
    }
    return pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))
