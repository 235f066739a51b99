"""What tables beside those of orders and lines say: which orders came back."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from kpi.contract.shop import Shop
from kpi.inference.contract import infer_contract
from kpi.inference.samples import TableSample
from tests.unit.kpi.inference.test_evidence_of_values import ORDERS, asked, lines, sample, shop_of

BACK = [7000 + 7 * one for one in range(6)]
"""Orders that came back."""

LINE_IDS = {"order_line_id": [f"L{at}" for at in range(2 * ORDERS)]}


def table(name: str, *rows: Sequence[object], headers: str) -> TableSample:
    return sample(dict(zip(headers.split(), zip(*rows, strict=True), strict=True)), name)


def listed_orders(shop: Shop, file: str) -> tuple[str, list[str]]:
    """Column of the order in [refunds], and the texts of the rows that are read."""
    refunds = shop.datasets["refunds"]
    assert not shop.has("refunds", "amount", "unit_price")
    found = shop.layout_of(file)
    assert found is not None
    conditions = found[0].only.get("refunds", ())
    texts = [text for one in conditions for some in one.values() for text in some.texts]
    return refunds.columns["order_id"].headers[0], texts


def lookup(shop: Shop, dataset: str = "orders") -> tuple[str, str, tuple[str, ...]]:
    """Column that a look-up begins with, where it ends, and the texts that say so."""
    (condition,) = shop.datasets[dataset].returned or ()
    ((name, texts),) = condition.items()
    column = shop.datasets[dataset].columns[name]
    (step,) = column.via
    return column.headers[0], f"{step.reference}.{step.column}", tuple(texts.texts)


@pytest.mark.parametrize(
    "listed",
    [
        table("returns.csv", *[("Yes", one) for one in BACK], headers="returned order_id"),
        table("returned_orders.csv", *[(one,) for one in BACK], headers="order_id"),
        table(
            "retouren.csv",
            *[(f"R{one}", one, "2025-05-01", "defekt") for one in BACK],
            headers="Nr order_id Datum Grund",
        ),
        table("zz.csv", *[(one, "2025-05-01") for one in BACK], headers="order_id returned_at"),
        table("returns.csv", *[(one, "returned") for one in BACK], headers="order_id status"),
    ],
    ids=["flag", "ids", "reasons", "only a header", "one state"],
)
def test_a_list_of_returns_says_which_orders_came_back(listed: TableSample) -> None:
    inferred = infer_contract([sample(lines()), listed], {})
    assert listed_orders(shop_of(inferred), listed.name) == ("order_id", [])
    assert not inferred.remarks


def test_a_table_of_all_orders_returns_those_that_it_marks() -> None:
    rows = [(7000 + at, "yes" if at % 9 == 0 else "no") for at in range(ORDERS)]
    listed = table("returns.csv", *rows, headers="order_id returned")
    shop = shop_of(infer_contract([sample(lines()), listed], {}))
    assert listed_orders(shop, "returns.csv") == ("order_id", ["yes"])


def test_a_table_of_most_orders_with_a_column_of_returns_is_no_list_of_them() -> None:
    for orders, listed in ((ORDERS // 2, True), (ORDERS // 2 + 1, False)):
        rows = [(7000 + at, "2025-05-01", "") for at in range(orders)]
        parcels = table("zz.csv", *rows, headers="order_id sent_at return_label")
        shop = shop_of(infer_contract([sample(lines()), parcels], {}))
        assert ("refunds" in shop.datasets) == listed


def test_a_column_of_texts_names_no_orders_of_which_it_has_few_numbers() -> None:
    rows = [*((f"R{at}",) for at in range(20)), *((one,) for one in BACK)]
    listed = table("returns.csv", *rows, headers="order_ref")
    inferred = infer_contract([sample(lines()), listed], {})
    assert "refunds" not in shop_of(inferred).datasets


def test_a_list_of_returned_lines_returns_lines() -> None:
    rows = [(at, f"L{7 * at}", "broken") for at in range(8)]
    listed = table("returns.csv", *rows, headers="nr order_line_id reason")
    shop = shop_of(infer_contract([sample(lines(**LINE_IDS)), listed], {}))
    assert shop.datasets["orders"].returned is None
    assert lookup(shop, "order_items")[:2] == ("order_line_id", "returns.order_line_id")


def test_a_list_without_a_known_word_is_a_question() -> None:
    rows = [(at, one, "zz") for at, one in enumerate(BACK)]
    listed = table("zzkk.csv", *rows, headers="nr order_id zz")
    assert asked(infer_contract([sample(lines()), listed], {})) == ["returned"]
    taken = shop_of(infer_contract([sample(lines()), listed], {"returned": "zzkk.csv"}))
    assert listed_orders(taken, "zzkk.csv") == ("order_id", [])
    none = infer_contract([sample(lines()), listed], {"returned": "none"})
    assert "refunds" not in shop_of(none).datasets
    assert "zzkk.csv" in none.remarks[0]


def test_a_list_of_amounts_that_is_answered_has_refunds() -> None:
    rows = [(at, one, "9.90") for at, one in enumerate(BACK)]
    listed = table("zzkk.csv", *rows, headers="nr order_id amount")
    taken = shop_of(infer_contract([sample(lines()), listed], {"returned": "zzkk.csv"}))
    assert taken.datasets["refunds"].columns["amount"].headers == ("amount",)


def test_a_list_joins_orders_of_which_few_rows_are_held() -> None:
    held = replace(sample(lines()), rows_total=3 * ORDERS)
    rows = [(7000 + 12 * at, "2025-05-01") for at in range(9)]
    listed = table("zz.csv", *rows, headers="order_id returned_at")
    assert listed_orders(shop_of(infer_contract([held, listed], {})), "zz.csv")
    all_rows = infer_contract([sample(lines()), listed], {})
    assert "refunds" not in shop_of(all_rows).datasets


def test_a_list_of_returns_may_be_of_more_months_than_the_orders() -> None:
    listed = table("returns.csv", *[(7000 + 30 * at,) for at in range(9)], headers="order_id")
    assert listed_orders(shop_of(infer_contract([sample(lines()), listed], {})), "returns.csv")


@pytest.mark.parametrize(
    "listed",
    [
        table("zz.csv", *[(7000 + at, "zz") for at in range(40)], headers="order_id zz"),  # many
        table(
            "zz.csv",
            *[(one, f"9.9{at}") for at, one in enumerate(BACK)],
            headers="order_id discount",
        ),
        table("zz.csv", *[(one, "a") for one in BACK * 2], headers="order_id zz"),  # several each
        table("cancelled_orders.csv", *[(one, "a") for one in BACK], headers="order_id zz"),
    ],
    ids=["many", "discounts", "several", "cancelled"],
)
def test_a_table_unlike_a_list_of_returns_is_told_as_not_read(listed: TableSample) -> None:
    inferred = infer_contract([sample(lines()), listed], {})
    assert asked(inferred) == []
    (remark,) = inferred.remarks
    assert remark.startswith(f"nothing of {listed.name} is read")


HISTORY = [
    (order, state, f"2025-06-{day:02} 10:00:00")
    for order in range(7000, 7000 + ORDERS)
    for day, state in ((1, "pending"), (2, "returned" if order in BACK else "delivered"))
]


def test_the_last_state_of_an_order_says_whether_it_came_back() -> None:
    states = table("history.csv", *HISTORY, headers="order_id status changed_at")
    shop = shop_of(infer_contract([sample(lines()), states], {}))
    assert lookup(shop) == ("order_id", "history.status", ("returned",))


def test_states_in_no_order_of_time_are_a_question() -> None:
    rows = random.Random(1).sample(HISTORY, len(HISTORY))
    states = table("history.csv", *rows, headers="order_id status changed_at")
    assert asked(infer_contract([sample(lines()), states], {})) == ["returned"]
    shop = shop_of(infer_contract([sample(lines()), states], {"returned": "ever"}))
    assert lookup(shop)[2] == ("*",)
    found = shop.layout_of("history.csv")
    assert found is not None
    assert list(found[0].only) == ["history"]


def test_many_last_states_of_no_sale_are_a_question() -> None:
    rows = [
        (order, "cancelled" if order % 3 == 0 else "returned" if order in BACK else "delivered")
        for order in range(7000, 7000 + ORDERS)
    ]
    states = table("states.csv", *rows, headers="order_id status")
    assert asked(infer_contract([sample(lines()), states], {})) == ["excluded"]


PLACES = {"Springfield": "Ohio", "Salem": "Utah", "Dover": "Iowa", "Troy": "Ohio", "Hull": "Texas"}


@pytest.mark.parametrize("headers", ["city state", "ciudad estado", "customer_id state"])
def test_the_state_of_an_address_is_no_status(headers: str) -> None:
    cities = [sorted(PLACES)[order % 5] for order in range(ORDERS) for _ in range(2)]
    place, state = headers.split()
    columns = {place: cities, state: [PLACES[one] for one in cities]}
    shop = shop_of(infer_contract([sample(lines(**columns))], {}))
    assert "status" not in shop.datasets["orders"].columns


def test_a_state_that_differs_in_a_city_is_asked_about() -> None:
    cities = [sorted(PLACES)[order % 5] for order in range(ORDERS) for _ in range(2)]
    states = ["okkk" if order % 7 else "backk" for order in range(ORDERS) for _ in range(2)]
    assert asked(infer_contract([sample(lines(city=cities, state=states))], {})) == ["returned"]


NAMES = [(1, "Pending"), (3, "Delivered"), (4, "Cancelled"), (5, "Refunded")]


@pytest.mark.parametrize(
    ("key", "column"), [("status_id", "status_id"), ("id", "status_id"), ("nr", "zzkk")]
)
def test_a_status_below_a_key_is_looked_up(key: str, column: str) -> None:
    codes = [5 if 7000 + order in BACK else 3 for order in range(ORDERS) for _ in range(2)]
    names = table("zz_states.csv", *NAMES, headers=f"{key} name")
    inferred = infer_contract([sample(lines(**{column: codes})), names], {})
    assert lookup(shop_of(inferred)) == (column, "zz_states.name", ("Refunded",))
    assert not inferred.remarks


def test_a_status_of_a_line_below_a_key_is_looked_up() -> None:
    orders = sample(
        {
            "order_id": [7000 + order for order in range(ORDERS)],
            "order_date": [f"2025-03-{1 + order % 28:02}" for order in range(ORDERS)],
        },
        "orders.csv",
    )
    sold = lines(item_status_id=[5 if at % 11 == 0 else 4 for at in range(2 * ORDERS)], **LINE_IDS)
    del sold["order_date"]
    names = table("item_statuses.csv", *NAMES, headers="item_status_id name")
    samples = [orders, sample(sold, "order_lines.csv"), names]
    assert asked(infer_contract(samples, {})) == ["excluded"]
    shop = shop_of(infer_contract(samples, {"excluded": "yes"}))
    assert lookup(shop, "order_items")[:2] == ("item_status_id", "item_statuses.name")


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("статусы.csv", "names"),
        ("États 2025.csv", "etats_2025"),
        ("orders.txt", "orders_names"),
        (f"{'long' * 30}.csv", "long" * 10),
    ],
)
def test_a_reference_has_a_name_that_keys_of_objects_may_have(file: str, name: str) -> None:
    states = table(file, *HISTORY, headers="order_id status changed_at")
    shop = shop_of(infer_contract([sample(lines()), states], {}))
    assert list(shop.references) == [name]


@pytest.mark.parametrize("cells", [["a", "b"], [1, 2]], ids=["texts", "numbers"])
def test_a_small_table_behind_a_column_is_told_as_not_read(cells: list[object]) -> None:
    names = table("zzid.csv", (cells[0], "left"), (cells[1], "right"), headers="nr label")
    (remark,) = infer_contract([sample(lines(zzkk=cells * ORDERS)), names], {}).remarks
    assert remark.startswith("nothing of zzid.csv is read, though 'nr' has values of 'zzkk'")


def test_a_table_of_other_orders_is_told_as_not_read() -> None:
    rows = [(f"T{at}", f"2025-03-{1 + at % 28:02}", "5.00") for at in range(20)]
    till = table("till.csv", *rows, headers="receipt_id date total")
    (remark,) = infer_contract([sample(lines()), till], {}).remarks
    assert remark.startswith("nothing of till.csv is read, though it may have orders of its own")


def test_a_table_of_other_things_is_not_told() -> None:
    rows = [(f"zz{at}", f"2025-03-{1 + at % 28:02}", at) for at in range(20)]
    other = table("visits.csv", *rows, headers="page day visits")
    assert not infer_contract([sample(lines()), other], {}).remarks


@pytest.mark.parametrize(("more", "told"), [("town", False), ("discount", True)])
def test_a_list_of_customers_is_told_where_it_has_amounts(more: str, told: bool) -> None:
    shown = sample(lines(customer_id=[f"c{order % 17}" for order in range(ORDERS) for _ in "12"]))
    cells = {"town": [f"zz{at}" for at in range(17)], "discount": [f"{at}.25" for at in range(17)]}
    rows = [(f"c{at}", cell) for at, cell in enumerate(cells[more])]
    customers = table("customers.csv", *rows, headers=f"customer_id {more}")
    inferred = infer_contract([shown, customers], {})
    assert shop_of(inferred).datasets["orders"].columns["user_id"].headers == ("customer_id",)
    assert any("nothing of customers.csv" in one for one in inferred.remarks) == told


def test_the_customer_may_stand_in_a_table_of_the_orders() -> None:
    rows = [(7000 + order, f"c{order % 17}") for order in range(ORDERS)]
    owners = table("owners.csv", *rows, headers="order_id customer_id")
    shop = shop_of(infer_contract([sample(lines()), owners], {}))
    column = shop.datasets["orders"].columns["user_id"]
    assert [f"{one.reference}.{one.column}" for one in column.via] == ["owners.customer_id"]
    several = table("owners.csv", *rows, (7000, "c3"), headers="order_id customer_id")
    assert (
        "user_id"
        not in shop_of(infer_contract([sample(lines()), several], {})).datasets["orders"].columns
    )
