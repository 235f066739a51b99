"""What statuses, flags, dates and changes say of orders."""

from __future__ import annotations

import pytest

from kpi.contract.loading import parse_contract
from kpi.contract.shop import Shop
from kpi.inference.contract import Inferred, infer_contract
from kpi.inference.samples import TableSample
from tests.unit.kpi.inference.shop_samples import flat, table_of

DAYS = ("2025-03-01", "2025-03-02", "2025-03-13", "2025-03-14", "2025-03-15", "2025-03-16")


def orders(**columns: tuple[str, ...]) -> TableSample:
    """Six orders of one line each, with further columns."""
    own = {
        "order_id": ("1", "2", "3", "4", "5", "6"),
        "order_date": DAYS,
        "sku": ("A", "B", "A", "B", "A", "B"),
        "quantity": ("1", "2", "1", "3", "1", "1"),
        "unit_price": ("5.00", "7.00", "5.00", "7.00", "5.00", "7.00"),
    }
    all_columns = own | columns
    return TableSample(
        name="sales.csv",
        match="sales.csv",
        headers=tuple(all_columns),
        columns=tuple(all_columns.values()),
    )


def shop_of(inferred: Inferred) -> Shop:
    assert not inferred.questions
    shop = parse_contract(inferred.text, source="test").shop
    assert shop is not None
    return shop


def words(inferred: Inferred) -> list[str]:
    return [one.word for one in inferred.questions]


FEW = ("done",) * 5 + ("cancelled",)
MANY = ("done",) * 4 + ("cancelled",) * 2


def test_few_orders_of_no_sale_count_by_a_comment() -> None:
    inferred = infer_contract([orders(status=FEW)], {})
    assert not shop_of(inferred).datasets["orders"].excluded
    assert '# excluded = { status = ["cancelled"] }' in inferred.text


def test_many_orders_of_no_sale_are_a_question() -> None:
    assert words(infer_contract([orders(status=MANY)], {})) == ["excluded"]
    left_out = infer_contract([orders(status=MANY)], {"excluded": "no"})
    assert shop_of(left_out).datasets["orders"].excluded
    counted = infer_contract([orders(status=MANY)], {"excluded": "yes"})
    assert not shop_of(counted).datasets["orders"].excluded


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("returned_at", ("", "2025-03-09", "", "", "", "")),
        ("is_returned", ("no", "yes", "no", "no", "no", "no")),
        ("Retourniert", ("0", "1", "0", "0", "0", "0")),
    ],
)
def test_a_date_or_flag_of_a_return_is_taken(header: str, cells: tuple[str, ...]) -> None:
    shop = shop_of(infer_contract([orders(**{header: cells})], {}))
    assert shop.datasets["orders"].returned


def test_a_status_that_says_returned_goes_before_a_date() -> None:
    status = ("done", "refunded", "done", "done", "done", "done")
    returned_at = ("", "2025-03-09", "", "", "2025-03-20", "")
    shop = shop_of(infer_contract([orders(status=status, returned_at=returned_at)], {}))
    assert "came_back" not in shop.datasets["orders"].columns


def test_a_date_before_that_of_the_order_is_a_question() -> None:
    earlier = tuple(day.replace("2025-03", "2025-02") for day in DAYS)
    assert words(infer_contract([orders(processed_at=earlier)], {})) == ["date"]
    chosen = infer_contract([orders(processed_at=earlier)], {"date": "processed_at"})
    assert shop_of(chosen).datasets["orders"].columns["created_at"].headers == ("processed_at",)


@pytest.mark.parametrize(
    ("changes", "deletion"),
    [(("I", "I", "I", "U", "D", "I"), "D"), (("c", "c", "r", "u", "c", "c"), "d")],
)
def test_changes_of_a_database_delete(changes: tuple[str, ...], deletion: str) -> None:
    shop = shop_of(infer_contract([orders(Op=changes)], {}))
    (condition,) = shop.datasets["orders"].deleted
    assert condition["op"].texts == (deletion,)


def test_a_column_of_other_operations_deletes_nothing() -> None:
    shop = shop_of(infer_contract([orders(operation=("pick", "pack", "d", "i", "u", "x"))], {}))
    assert not shop.datasets["orders"].deleted


def test_a_customer_column_without_values_is_a_customer() -> None:
    shop = shop_of(infer_contract([orders(customer_id=("",) * 6)], {}))
    assert "user_id" in shop.datasets["orders"].columns


def test_a_key_that_comes_again_in_a_later_file_is_that_of_a_line() -> None:
    rows = (("11", "1", "A"), ("12", "1", "B"), ("12", "1", "B"), ("13", "2", "A"))
    lines = TableSample(
        name="lines.csv",
        match="lines*.csv",
        headers=("line_id", "order_id", "sku", "price"),
        columns=(*zip(*rows, strict=True), ("5.00", "7.00", "7.00", "5.00")),
        parts=(("lines1.csv", 2), ("lines2.csv", 2)),
    )
    dated = TableSample(
        name="orders.csv",
        match="orders.csv",
        headers=("order_id", "order_date"),
        columns=(("1", "2"), DAYS[:2]),
    )
    shop = shop_of(infer_contract([dated, lines], {}))
    assert shop.datasets["order_items"].key == ("id",)


def test_a_status_beside_that_of_the_order_may_say_returns() -> None:
    orders = [order for order in range(60) for _ in range(2)]
    states = [("delivered", "shipped", "cancelled")[order % 3] for order in orders]
    payments = ["refunded" if order % 12 == 1 else "paid" for order in orders]
    table = table_of(
        flat(line_total=[f"{at}.50" for at in range(120)], order_status=states, zzpay=payments)
    )
    orders_of = shop_of(infer_contract([table], {"excluded": "yes"})).datasets["orders"]
    (condition,) = orders_of.returned or ()
    assert {name: one.texts for name, one in condition.items()} == {"came_back": ("refunded",)}
    assert orders_of.columns["came_back"].headers == ("zzpay",)


@pytest.mark.parametrize(
    ("answer", "condition"),
    [
        ("all", {"came_back": ("refunded",)}),
        ("sales", {"came_back": ("refunded",), "status": ("!cancelled",)}),
        ("none", None),
    ],
)
def test_payments_of_cancelled_orders_that_went_back_are_a_question(
    answer: str, condition: dict[str, tuple[str, ...]] | None
) -> None:
    orders = [order for order in range(60) for _ in range(2)]
    states = ["cancelled" if order % 10 == 0 else "delivered" for order in orders]
    payments = ["refunded" if order % 10 < 2 else "paid" for order in orders]
    amounts = [f"{at}.50" for at in range(120)]
    table = table_of(flat(line_total=amounts, order_status=states, zzpay=payments))
    assert [one.word for one in infer_contract([table], {}).questions] == ["returned"]
    returned = shop_of(infer_contract([table], {"returned": answer})).datasets["orders"].returned
    found = [{name: one.texts for name, one in each.items()} for each in returned or ()]
    assert found == ([] if condition is None else [condition])
