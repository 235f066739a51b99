"""Money and rates: to the last place, half to even, or an error."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from kpi.aggregation.day_slice import build_day_slice
from kpi.aggregation.products import Products
from kpi.errors import KpiError
from tests.unit.kpi.slices import contract_of, items_of, keys, measure, slice_of


def test_rates_and_averages_are_rounded_half_to_even() -> None:
    contract = contract_of()
    ids = pa.array(range(32), pa.int64())
    day_slice = build_day_slice(
        contract=contract,
        products=Products(pa.array([], pa.int64()), pa.array([], pa.string())),
        orders=keys(ids),
        days=np.zeros(32, np.int32),
        users=keys(ids),
        returned=np.arange(32) < 1,  # 1 / 32 = 0.03125
    )
    two = items_of([Decimal("0.01"), Decimal("0.04")], pa.decimal128(18, 4))
    batch = two.set_column(0, "order_id", pa.array([0, 1], pa.int64()))
    day_slice.add(measure(day_slice, batch))
    assert day_slice.order_kpis()["return_rate"].to_pylist() == [Decimal("0.0312")]
    # 0.05 over two orders, one of them returned.
    categories = day_slice.category_kpis().to_pylist()
    assert [(row["avg_order_value"], row["avg_return_rate"]) for row in categories] == [
        (Decimal("0.02"), Decimal("0.5000"))
    ]


@pytest.mark.parametrize("categories", [1, 12])
def test_revenue_beyond_64_bits_is_an_error_and_no_other_number(categories: int) -> None:
    contract = contract_of()
    largest = Decimal("99999999999999.9999")
    ids = pa.array(range(12), pa.int64())
    day_slice = build_day_slice(
        contract=contract,
        products=Products(ids, pa.array([f"category {n % categories}" for n in range(12)])),
        orders=keys(pa.array([0], pa.int64())),
        days=np.zeros(1, np.int32),
        users=keys(pa.array([0], pa.int64())),
        returned=np.zeros(1, bool),
    )
    nine = items_of([largest] * 9, pa.decimal128(18, 4))
    day_slice.add(measure(day_slice, nine))
    assert day_slice.order_kpis()["total_revenue"].to_pylist() == [
        (9 * largest).quantize(Decimal("0.01"))
    ]
    # By adding up batches, and in one batch of one category or of many.
    with pytest.raises(KpiError, match="64 bits"):
        day_slice.add(measure(day_slice, nine))
    with pytest.raises(KpiError, match="64 bits"):
        measure(day_slice, items_of([largest] * 12, pa.decimal128(18, 4)))


def test_a_price_times_a_quantity_beyond_64_bits_is_an_error() -> None:
    contract = contract_of(price_per="unit", optional='quantity = { type = "integer" }')
    day_slice = slice_of(contract, 1)
    batch = items_of(
        [Decimal("1000000000000.00")],
        pa.decimal128(18, 4),
        quantity=pa.array([10**9], pa.int64()),
    )
    with pytest.raises(KpiError, match="64 bits"):
        measure(day_slice, batch)


def test_money_declared_without_places_keeps_four() -> None:
    day_slice = slice_of(contract_of(scale=0), 1)
    yen = Decimal("30_000_000_000_000.1251")
    day_slice.add(measure(day_slice, items_of([yen], pa.decimal128(18, 4))))
    revenue = day_slice.order_kpis()["total_revenue"].to_pylist()
    assert revenue == [Decimal("30_000_000_000_000.13")]


def test_an_average_of_amounts_with_many_places() -> None:
    orders = 1000  # times 10**16 is more than 64 bits hold
    day_slice = slice_of(contract_of(scale=18), orders)
    batch = items_of([Decimal("0.005")] * orders, pa.decimal128(18, 18))
    batch = batch.set_column(0, "order_id", pa.array(range(orders), pa.int64()))
    try:
        day_slice.add(measure(day_slice, batch))
        rows = day_slice.category_kpis().to_pylist()
    except KpiError:
        return
    # Half a cent goes to the even cent.
    assert [row["avg_order_value"] for row in rows] == [Decimal("0.00")]
