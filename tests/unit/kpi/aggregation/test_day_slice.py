"""KPIs of a slice of days, held against the oracle."""

from __future__ import annotations

import csv
import tempfile
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kpi.aggregation.day_slice
import kpi.aggregation.group_sums
import kpi.aggregation.unique_customers
from kpi.aggregation.day_slice import build_day_slice, is_returned
from kpi.aggregation.products import Products
from kpi.aggregation.promises import promises
from kpi.contract.loading import parse_contract
from kpi.contract.model import Contract
from tests.support import oracle
from tests.support.profiles import examples
from tests.unit.kpi.slices import CONTRACT, contract_of, items_of, keys, measure, slice_of

STATUSES = (None, "delivered", "returned", "RETURNED", "sent back", "Returned ")
RETURNED = ("returned", "sent back")
FIRST = date(2024, 2, 28)


@dataclass(frozen=True)
class Shop:
    """Latest versions of everything.

    Attributes:
        ids: `integer` or `string`.
        scale: Places of prices.
        quantity: Whether items have one.
        unit_price: Whether the price is for one unit.
        orders: Rows of (order_id, user_id, status, day).
        items: Rows of (order_id, product_id, status, price in its smallest unit, quantity).
        products: Rows of (id, category).
    """

    ids: str
    scale: int
    quantity: bool
    unit_price: bool
    orders: list[tuple[int, int, str | None, date, int | None]]
    items: list[tuple[int, int, str | None, int, int | None]]
    products: list[tuple[int, str | None]]

    @property
    def contract(self) -> Contract:
        optional = 'status = { type = "string" }\n'
        if self.quantity:
            optional += 'quantity = { type = "integer" }\n'
        return contract_of(
            ids=self.ids,
            price_per="unit" if self.unit_price else "line",
            scale=self.scale,
            optional=optional,
        )

    def id_array(self, values: list[int]) -> pa.Array:
        if self.ids == "integer":
            return pa.array(values, pa.int64())
        return pa.array([f"id {value}" for value in values], pa.string())

    def price(self, units: int) -> Decimal:
        return Decimal(units).scaleb(-self.scale)


@st.composite
def shops(draw: st.DrawFn) -> Shop:
    orders = draw(
        st.lists(
            st.tuples(
                st.integers(-5, 30),
                st.integers(0, 4),
                st.sampled_from(STATUSES),
                st.integers(0, 3).map(lambda days: FIRST + timedelta(days)),
                st.one_of(st.none(), st.integers(0, 5), st.integers(2**31 - 2, 2**62)),
            ),
            max_size=12,
            unique_by=lambda order: order[0],
        )
    )
    quantity = draw(st.booleans())
    amounts = st.one_of(st.integers(-500, 10_000), st.integers(0, 10**12))
    items = draw(
        st.lists(
            st.tuples(
                st.integers(-5, 30),
                st.integers(0, 6),
                st.sampled_from(STATUSES),
                amounts,
                st.one_of(st.none(), st.integers(-3, 20)) if quantity else st.just(None),
            ),
            max_size=30,
        )
    )
    categories = st.sampled_from([None, "Beauty", "Toys, Games", "Décor", "(unknown)"])
    products = draw(
        st.lists(st.tuples(st.integers(0, 5), categories), max_size=6, unique_by=lambda one: one[0])
    )
    return Shop(
        ids=draw(st.sampled_from(["integer", "string"])),
        scale=draw(st.sampled_from([4, 6])),
        quantity=quantity,
        unit_price=quantity and draw(st.booleans()),
        orders=orders,
        items=items,
        products=products,
    )


def batches(shop: Shop, cuts: list[int]) -> list[pa.RecordBatch]:
    """The items in several batches, statuses as dictionaries as the clean zone has them."""
    columns = [list(column) for column in zip(*shop.items, strict=True)] or [[]] * 5
    arrays = {
        "order_id": shop.id_array(columns[0]),
        "product_id": shop.id_array(columns[1]),
        "status": pa.array(columns[2], pa.string()).dictionary_encode(),
        "sale_price": pa.array(
            [shop.price(units) for units in columns[3]], pa.decimal128(18, shop.scale)
        ),
    }
    if shop.quantity:
        arrays["quantity"] = pa.array(columns[4], pa.int64())
    batch = pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))
    size = len(shop.items)
    edges = [0, *sorted(cut % (size + 1) for cut in cuts), size]
    return [batch.slice(a, b - a) for a, b in pairwise(edges)]


def computed(shop: Shop, cuts: list[int]) -> dict[str, list[dict[str, object]]]:
    products = Products(
        shop.id_array([one for one, _ in shop.products]),
        pa.array([category for _, category in shop.products], pa.string()),
    )
    statuses = pa.array([status for _, _, status, *_ in shop.orders], pa.string())
    days = [(day - date(1970, 1, 1)).days for *_, day, _ in shop.orders]
    day_slice = build_day_slice(
        contract=shop.contract,
        products=products,
        orders=keys(shop.id_array([order[0] for order in shop.orders])),
        days=np.array(days, np.int32),
        users=keys(shop.id_array([order[1] for order in shop.orders])),
        returned=is_returned(statuses, shop.contract),
        promised=promises(
            pa.table({"num_of_item": pa.array([order[4] for order in shop.orders], pa.int64())})
        ),
        with_products=True,
    )
    known = {order[0]: order[3] for order in shop.orders}
    for batch in batches(shop, cuts):
        measured = measure(day_slice, batch)
        ids = batch.column("order_id").to_pylist()
        names = shop.id_array(list(known)).to_pylist()
        of_id = dict(zip(names, known.values(), strict=True))
        assert measured.matched == sum(one in of_id for one in ids)
        assert measured.days.tolist() == sorted(
            {(of_id[one] - date(1970, 1, 1)).days for one in ids if one in of_id}
        )
        day_slice.add(measured)
    tables = {
        "order_kpis": day_slice.order_kpis(),
        "category_kpis": day_slice.category_kpis(),
        "product_kpis": day_slice.product_kpis(),
    }
    return {
        name: [
            {key: value for key, value in row.items() if value is not None}
            | {"order_date": row["order_date"].isoformat()}
            for row in table.to_pylist()
        ]
        for name, table in tables.items()
    }


def expected(shop: Shop, folder: Path) -> dict[str, oracle.Rows]:
    def cell(value: object) -> object:
        return "" if value is None else value

    def name(value: int) -> object:
        return value if shop.ids == "integer" else f"id {value}"

    tables: dict[str, list[list[object]]] = {
        "orders": [["order_id", "user_id", "status", "created_at", "num_of_item"]],
        "order_items": [["id", "order_id", "product_id", "status", "sale_price", "quantity"]],
        "products": [["id", "category"]],
    }
    for order_id, user_id, status, day, promise in shop.orders:
        created = f"{day}T12:00:00"
        tables["orders"].append(
            [name(order_id), name(user_id), cell(status), created, cell(promise)]
        )
    for number, (order_id, product_id, status, units, quantity) in enumerate(shop.items):
        price = f"{shop.price(units):f}"
        tables["order_items"].append(
            [name(number), name(order_id), name(product_id), cell(status), price, cell(quantity)]
        )
    for product_id, category in shop.products:
        tables["products"].append([name(product_id), cell(category)])
    files = {}
    for dataset, rows in tables.items():
        files[dataset] = [folder / f"{dataset}.csv"]
        with files[dataset][0].open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    layout = oracle.Layout(
        ids="BIGINT" if shop.ids == "integer" else "VARCHAR",
        scale=shop.scale,
        quantity=shop.quantity,
        unit_price=shop.unit_price,
        returned=RETURNED,
    )
    return oracle.kpis(files, layout)


@pytest.mark.slow
@given(shops(), st.lists(st.integers(0, 30), max_size=3))
@examples(0.4)
def test_a_slice_gives_the_rows_of_the_oracle(shop: Shop, cuts: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        wanted = expected(shop, Path(folder))
    assert computed(shop, cuts) == wanted
    for block in (1, 2, 3):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kpi.aggregation.day_slice, "KEY_BLOCK_ROWS", block)
            patch.setattr(kpi.aggregation.unique_customers, "KEY_BLOCK_ROWS", block)
            patch.setattr(kpi.aggregation.group_sums, "DENSE_MAX_GROUPS", 10 * (block % 2))
            assert computed(shop, []) == wanted


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.booleans()), max_size=12))
def test_an_order_counts_once_in_each_category(items: list[tuple[int, int, bool]]) -> None:
    """Wherever blocks end. Orders 0 to 3 are of one day, products 0 to 2 each of a category."""
    numbers = pa.array(range(3), pa.int64())
    day_slice = slice_of(
        contract_of(), 4, products=Products(numbers, numbers.cast(pa.string()).dictionary_encode())
    )
    batch = items_of(
        [Decimal(1)] * len(items),
        pa.decimal128(18, 4),
        order_id=pa.array([order for order, _, _ in items], pa.int64()),
        product_id=pa.array([product for _, product, _ in items], pa.int64()),
        status=pa.array(["returned" if back else "" for _, _, back in items], pa.string()),
    )
    day_slice.add(measure(day_slice, batch))
    orders = {product: {o for o, p, _ in items if p == product} for _, product, _ in items}
    returned = {product: {o for o, p, r in items if p == product and r} for product in orders}
    wanted = {
        str(product): (
            Decimal(sum(p == product for _, p, _ in items)) / len(orders[product]),
            Decimal(len(returned[product])) / len(orders[product]),
        )
        for product in orders
    }
    for block in (1, 2, 3, 100):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kpi.aggregation.day_slice, "KEY_BLOCK_ROWS", block)
            rows = day_slice.category_kpis().to_pylist()
        assert {row["category"] for row in rows} == set(wanted)
        for row in rows:
            average, rate = wanted[row["category"]]
            assert abs(row["avg_order_value"] - average) <= Decimal("0.005")
            assert abs(row["avg_return_rate"] - rate) <= Decimal("0.00005")


def test_no_orders_no_rows() -> None:
    day_slice = slice_of(contract_of(), 0, with_products=True)
    measured = measure(day_slice, items_of([Decimal(1)], pa.decimal128(18, 4)))
    day_slice.add(measured)
    assert (measured.matched, measured.days.tolist()) == (0, [])
    for table in (day_slice.order_kpis(), day_slice.category_kpis(), day_slice.product_kpis()):
        assert table.num_rows == 0


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=30))
def test_customers_far_apart_are_counted_once_a_day(users: list[int]) -> None:
    days = np.arange(len(users), dtype=np.int32) % 3
    day_slice = build_day_slice(
        contract=contract_of(),
        products=Products(pa.array([], pa.int64()), pa.array([], pa.string())),
        orders=keys(pa.array(range(len(users)), pa.int64())),
        days=days,
        users=keys(pa.array(users, pa.int64())),
        returned=np.zeros(len(users), bool),
    )
    expected = [len({u for u, d in zip(users, days, strict=True) if d == day}) for day in range(3)]
    found = day_slice.order_kpis()["unique_customers"].to_pylist()
    assert found == [count for count in expected if count]


@pytest.mark.parametrize("as_dictionary", [False, True])
def test_returned_matches_without_regard_to_case(as_dictionary: bool) -> None:
    statuses = pa.array([*STATUSES, "RÜCKGABE", None], pa.string())
    expected = [False, False, True, True, True, True, False, False]
    # In either order, so that a null is taken for the first text of neither dictionary.
    for texts, returned in ((statuses, expected), (statuses[2:], expected[2:])):
        some = texts.dictionary_encode() if as_dictionary else texts
        assert is_returned(some, contract_of()).tolist() == returned


def test_a_status_that_is_not_ascii_matches_in_any_case() -> None:
    text = CONTRACT.format(ids="integer", price_per="line", scale=2, optional="").replace(
        "Sent Back", "Zurückgesandt"
    )
    contract = parse_contract(text, source="test")
    statuses = pa.array(["ZURÜCKGESANDT", "zurückgesandt", "Zuruckgesandt"])
    assert is_returned(statuses, contract).tolist() == [True, True, False]


def test_categories_of_products() -> None:
    products = Products(
        pa.array([3, 1, 2], pa.int64()), pa.array(["Toys", None, "Beauty"], pa.string())
    )
    codes = products.category_codes(pa.array([1, 2, 3, 4], pa.int64()))
    assert [products.categories[code] for code in codes] == [
        "(none)",
        "Beauty",
        "Toys",
        "(unknown)",
    ]
