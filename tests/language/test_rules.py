"""Each rule of contract language 2: a small shop, what must come of it, and the reference."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.language.contracts import FILES, HEAD, ITEMS, ORDERS, sales
from tests.language.product import check, run
from tests.language.reference import File

DAY, NEXT = "2025-03-01", "2025-03-02"


def row(outcome: Any, day: str = DAY) -> dict[str, Any]:
    found: dict[str, Any] = outcome.orders[day]
    return found


def test_rule_01_conditions_see_the_latest_row_after_via(tmp_path: Path) -> None:
    contract = (
        HEAD
        + '[[files]]\nmatch = "sales*"\nfeeds = ["orders", "order_items"]\n'
        + '[[files]]\nmatch = "states*"\nfeeds = ["states"]\n'
        + '[orders]\nexcluded = { state = "void" }\n'
        + ORDERS
        + 'state = { from = "Order", via = "states.state" }\n'
        + ITEMS
        + '[references.states]\nkey = "order"\n'
    )
    files = [
        File("sales.csv", sales(f"1,{DAY},A,1,5.00", f"2,{DAY},A,1,7.00"), 0),
        File("states1.csv", "order,state\n1,void\n2,paid\n", 1),
        File("states2.csv", "order,state\n1,paid\n2,void\n", 2),
    ]
    assert row(check(tmp_path, contract, files))["total_revenue"] == Decimal("5.00")


def test_rule_02_rows_read_are_clean_rejected_or_passed_over(tmp_path: Path) -> None:
    contract = (
        HEAD
        + FILES
        + '[files.only]\norders = { SKU = "!-" }\norder_items = { SKU = ["*", "!-"] }\n'
    )
    contract += ORDERS + ITEMS
    text = sales(
        f"1,{DAY},A,1,5.00", ",,,,", f"2,{DAY},-,1,9.00", "3,never,A,1,1.00", f"4,{DAY},,1,1.00"
    )
    rows = [f"9,{DAY},A,1,1.00"] * 20
    entry = check(tmp_path, contract, [File("sales.csv", text + "\n".join(rows), 0)]).entries[
        "sales.csv"
    ]
    assert (entry.rows_read, entry.rows_clean, entry.rows_rejected, entry.rows_passed_over) == (
        24,
        22,
        1,
        1,
    )
    assert entry.feeds["order_items"].passed_over == 2
    assert entry.feeds["order_items"].rejected == 0
    assert entry.feeds["orders"].rejected == 1


def test_rule_03_only_keys_ids_and_dates_can_reject_a_row(tmp_path: Path) -> None:
    contract = HEAD + FILES + ORDERS + 'user_id = "User"\n' + ITEMS
    text = sales(f"1,{DAY},,,,", f"2,{DAY},A,1,3.00,7", header="Order,Date,SKU,Qty,Total,User")
    outcome = check(tmp_path, contract, [File("sales.csv", text, 0)])
    assert outcome.entries["sales.csv"].rows_rejected == 0
    assert row(outcome)["anonymous_orders"] == 1


@pytest.mark.parametrize("required", [False, True])
def test_rule_03_required_may_be_added(tmp_path: Path, required: bool) -> None:
    spec = f'user_id = {{ from = "User", required = {str(required).lower()} }}\n'
    rows = [f"{n},{DAY},A,1,3.00,7" for n in range(20)]
    text = sales(*rows, f"99,{DAY},A,1,3.00,", header="Order,Date,SKU,Qty,Total,User")
    contract = HEAD + FILES + ORDERS + spec + ITEMS
    outcome = check(tmp_path, contract, [File("sales.csv", text, 0)])
    assert outcome.entries["sales.csv"].rows_rejected == required


VERSIONED = HEAD + (
    '[[files]]\nmatch = "o*"\nfeeds = ["orders"]\n[orders]\nversion = "changed"\n'
    'returned = { status = "back" }\ndeleted = { status = "gone" }\n[orders.columns]\n'
    'order_id = "id"\ncreated_at = "at"\nstatus = "status"\nchanged = "changed"\n'
)


@pytest.mark.parametrize(
    ("first", "second", "returned"),
    [
        ("2025-03-05T00:00:00", "2025-03-04T00:00:00", 1),
        ("2025-03-05T00:00:00", "2025-03-05T00:00:00", 0),
        ("", "2025-03-04T00:00:00", 0),
        ("2025-03-04T00:00:00", "", 1),
        ("9", "10", 0),
        ("2025-03-05T00:00:00+02:00", "2025-03-04T23:00:00Z", 0),
    ],
)
def test_rule_04_the_greater_version_is_the_later_row(
    tmp_path: Path, first: str, second: str, returned: int
) -> None:
    files = [
        File("o1.csv", f"id,at,status,changed\n1,{DAY},back,{first}\n", 0),
        File("o2.csv", f"id,at,status,changed\n1,{DAY},paid,{second}\n", 1),
    ]
    assert row(check(tmp_path, VERSIONED, files))["return_rate"] == returned


def test_rule_04_the_later_row_of_a_file_wins(tmp_path: Path) -> None:
    text = f"id,at,status,changed\n1,{DAY},back,\n1,{NEXT},paid,\n"
    assert list(check(tmp_path, VERSIONED, [File("o1.csv", text, 0)]).orders) == [NEXT]


def test_rule_05_a_later_row_brings_a_deleted_key_back(tmp_path: Path) -> None:
    header = "id,at,status,changed\n"
    files = [
        File("o1.csv", header + f"1,{DAY},paid,1\n2,{DAY},paid,1\n", 0),
        # Of a deleting row only the key and the version are read.
        File("o2.csv", header + "1,never,gone,2\n2,,gone,2\n", 1),
        File("o3.csv", header + f"2,{DAY},paid,3\n", 2),
    ]
    assert row(check(tmp_path, VERSIONED, files))["total_orders"] == 1


def test_rule_05_items_of_a_deleted_order_do_not_wait(tmp_path: Path) -> None:
    contract = VERSIONED + ITEMS.replace('"Order"', '"id"')
    contract = contract.replace(
        "[orders]", '[[files]]\nmatch = "lines*"\nfeeds = ["order_items"]\n[orders]'
    )
    files = [
        File("o1.csv", f"id,at,status,changed\n1,{DAY},gone,\n2,{DAY},paid,\n", 0),
        File("lines.csv", "id,SKU,Qty,Total\n1,A,1,5\n2,A,1,6\n3,A,1,7\n", 1),
    ]
    outcome = check(tmp_path, contract, files)
    assert row(outcome)["total_revenue"] == Decimal("6.00")
    assert outcome.waiting == 1


FILLED = (
    HEAD
    + FILES.rstrip()
    + '\nfill = "Order"\n'
    + (
        '[orders.columns]\norder_id = "Order"\ncreated_at = "Date"\nuser_id = "User"\n'
        '[order_items]\nkey = "order"\n[order_items.columns]\norder_id = "Order"\n'
        'product_id = "SKU"\n'
        'after_discount = "Total"\n[orders]\n'
    ).replace("[orders]\n", "")
)
FILLED_HEADER = "Order,Date,User,SKU,Total"


def test_rule_06_fill_goes_down_into_columns_of_orders_alone(tmp_path: Path) -> None:
    text = sales(
        f"1,{DAY},7,A,5.00", "1,,,,6.00", f"2,{DAY},,B,1.00", "2,,,,1.00", header=FILLED_HEADER
    )
    contract = FILLED + '[products.columns]\nid = "SKU"\ncategory = "SKU"\n'
    contract = contract.replace(
        'feeds = ["orders", "order_items"]', 'feeds = ["orders", "order_items"]'
    )
    contract = contract.replace(
        "[orders.columns]", '[[files]]\nmatch = "products*"\nfeeds = ["products"]\n[orders.columns]'
    )
    outcome = check(
        tmp_path, contract, [File("sales.csv", text, 0), File("products.csv", "SKU\nA\nB\n", 1)]
    )
    assert row(outcome)["total_orders"] == 2
    assert row(outcome)["anonymous_orders"] == 1
    # The line without SKU does not get the one above it.
    assert outcome.categories[DAY, "(none)"]["daily_revenue"] == Decimal("7.00")


def test_rule_06_fill_leaves_columns_that_lines_read(tmp_path: Path) -> None:
    contract = FILLED.replace('user_id = "User"', 'user_id = "User"\nsku = "SKU"')
    contract = contract.replace(
        "[orders.columns]", '[orders]\nreturned = { sku = "A" }\n[orders.columns]'
    )
    text = sales(f"1,{DAY},7,A,5.00", "1,,,,6.00", header=FILLED_HEADER)
    outcome = check(tmp_path, contract, [File("sales.csv", text, 0)])
    # The later row of the order has no SKU, and none is filled in.
    assert row(outcome)["return_rate"] == 0


def test_rule_06_a_value_that_comes_back_refuses_the_file(tmp_path: Path) -> None:
    text = sales(f"1,{DAY},7,A,5.00", f"2,{DAY},7,A,5.00", "1,,,A,6.00", header=FILLED_HEADER)
    outcome = check(tmp_path, FILLED, [File("sales.csv", text, 0)])
    assert "sort the file by 'Order'" in str(outcome.entries["sales.csv"].reason)


def test_rule_07_an_orders_lines_are_those_of_its_latest_file(tmp_path: Path) -> None:
    contract = HEAD + FILES + ORDERS + ITEMS
    files = [
        File(
            "sales (0).csv", sales(f"1,{DAY},A,1,5.00", f"1,{DAY},B,1,5.00", f"2,{DAY},A,1,1.00"), 0
        ),
        File("sales (1).csv", sales(f"1,{DAY},A,1,4.00"), 1),
    ]
    outcome = check(tmp_path, contract, files)
    assert row(outcome)["total_revenue"] == Decimal("5.00")


def test_rule_07_rows_of_files_in_parts_add_up(tmp_path: Path) -> None:
    contract = HEAD + FILES + ORDERS + ITEMS.replace('"order"', '"row"')
    files = [
        File("sales-1.csv", sales(f"1,{DAY},A,1,5.00"), 0),
        File("sales-2.csv", sales(f"1,{DAY},A,1,4.00"), 1),
        File("sales-1.csv", sales(f"1,{DAY},A,1,3.00"), 2),
    ]
    assert row(check(tmp_path, contract, files))["total_revenue"] == Decimal("7.00")


@pytest.mark.parametrize(("replaces", "orders"), [("rows", 4), ("file", 3), ("all", 1)])
def test_rule_08_a_later_file_replaces_rows_or_file_or_all(
    tmp_path: Path, replaces: str, orders: int
) -> None:
    contract = HEAD + FILES + f'replaces = "{replaces}"\n' + ORDERS + ITEMS
    files = [
        File("sales-1.csv", sales(f"1,{DAY},A,1,5", f"2,{DAY},A,1,5"), 0),
        File("sales-2.csv", sales(f"3,{DAY},A,1,5"), 1),
        File("sales-1.csv", sales(f"1,{DAY},A,1,5", f"4,{DAY},A,1,5"), 2),
    ]
    if replaces == "all":
        files.append(File("sales-3.csv", sales(f"9,{DAY},A,1,5"), 3))
    if replaces != "rows":
        orders = {"file": 3, "all": 1}[replaces]
    assert row(check(tmp_path, contract, files))["total_orders"] == orders


COUNTED = (
    HEAD
    + FILES
    + (
        '[orders]\nexcluded = { status = "void" }\nreturned = { status = "back" }\n'
        + ORDERS
        + 'status = "Status"\n'
        + ITEMS.replace('key = "order"', 'key = "order"\nexcluded = { product_id = "GIFT*" }')
    )
)
COUNTED_HEADER = "Order,Date,SKU,Qty,Total,Status"


def test_rule_09_an_order_whose_lines_are_all_excluded_does_not_count(tmp_path: Path) -> None:
    text = sales(
        f"1,{DAY},GIFTCARD,1,50,paid",
        f"2,{DAY},A,1,5,paid",
        f"2,{DAY},giftwrap,1,3,paid",
        f"3,{DAY},A,1,7,VOID ",
        header=COUNTED_HEADER,
    )
    outcome = check(tmp_path, COUNTED, [File("sales.csv", text, 0)])
    assert row(outcome)["total_orders"] == 1
    assert row(outcome)["total_revenue"] == Decimal("5.00")
    assert row(outcome)["excluded_orders"] == 2


def test_rule_09_an_order_without_lines_counts(tmp_path: Path) -> None:
    contract = (
        HEAD
        + (
            '[[files]]\nmatch = "o*"\nfeeds = ["orders"]\n[[files]]\nmatch = "sales*"\n'
            'feeds = ["order_items"]\n'
        )
        + ORDERS
        + ITEMS
    )
    files = [
        File("o.csv", f"Order,Date\n1,{DAY}\n", 0),
        File("sales.csv", sales(f"2,{DAY},A,1,5"), 1),
    ]
    outcome = check(tmp_path, contract, files)
    assert row(outcome)["total_orders"] == 1
    assert row(outcome)["total_revenue"] == 0


def test_rule_10_a_returned_line_returns_its_order_where_orders_do_not_say(tmp_path: Path) -> None:
    items = (
        ITEMS.replace('key = "order"', 'key = "order"\nreturned = { back = "*" }')
        + 'back = "Back"\n'
    )
    header = "Order,Date,SKU,Qty,Total,Back"
    text = sales(
        f"1,{DAY},A,1,5,",
        f"1,{DAY},B,1,5,{NEXT}",
        f"2,{DAY},A,1,5,",
        f"3,{DAY},A,1,5,",
        header=header,
    )
    outcome = check(
        tmp_path, HEAD + FILES + ORDERS + items + 'category = "SKU"\n', [File("sales.csv", text, 0)]
    )
    assert row(outcome)["return_rate"] == Decimal("0.3333")
    assert outcome.categories[DAY, "A"]["avg_return_rate"] == 0
    assert outcome.categories[DAY, "B"]["avg_return_rate"] == 1


def test_rule_10_an_order_says_its_lines_are_returned(tmp_path: Path) -> None:
    text = sales(f"1,{DAY},A,1,5,back", f"2,{DAY},A,1,5,paid", header=COUNTED_HEADER)
    outcome = check(tmp_path, COUNTED + 'category = "SKU"\n', [File("sales.csv", text, 0)])
    assert outcome.categories[DAY, "A"]["avg_return_rate"] == Decimal("0.5")


REFUNDS = (
    '\n[refunds]\nkey = "row"\n[refunds.columns]\norder_id = "Order"\n'
    'created_at = "Date"\namount = "Amount"\n'
)
REFUND_FILE = '[[files]]\nmatch = "refunds*"\nfeeds = ["refunds"]\n'


def test_rule_10_a_refund_row_returns_its_order_or_line(tmp_path: Path) -> None:
    keyed = ITEMS.replace('"order"', '["order_id", "line"]') + 'line = "Line"\ncategory = "SKU"\n'
    contract = HEAD + FILES + REFUND_FILE + ORDERS + keyed + REFUNDS + 'item = "Line"\n'
    header = "Order,Date,SKU,Qty,Total,Line"
    files = [
        File(
            "sales.csv",
            sales(f"1,{DAY},A,1,5,1", f"1,{DAY},B,1,5,2", f"2,{DAY},B,1,5,1", header=header),
            0,
        ),
        File("refunds.csv", f"Order,Date,Amount,Line\n1,{NEXT},3,1\n", 1),
    ]
    outcome = check(tmp_path, contract, files)
    assert row(outcome)["return_rate"] == Decimal("0.5")
    assert outcome.categories[DAY, "A"]["avg_return_rate"] == 1
    assert outcome.categories[DAY, "B"]["avg_return_rate"] == 0


MONEY_HEADER = "Order,Date,Unit,Before,Off,Share,After,Qty"


@pytest.mark.parametrize(
    ("cells", "revenue", "gross"),
    [
        ("10,,,,,3", "30.00", "30.00"),
        ("10,25,,,,3", "25.00", "25.00"),
        ("10,,4,,,3", "26.00", "30.00"),
        ("10,,4,0.1,,3", "23.00", "30.00"),
        ("10,,4,0.1,20,3", "20.00", "30.00"),
        (",,,,20,3", "20.00", None),
        (",,,,,3", "0.00", "0.00"),
        ("0.3333,,,,,0.333", "0.11", "0.11"),
        ("-10,,,,,1", "-10.00", "-10.00"),
    ],
)
def test_rule_11_money_of_a_line(
    tmp_path: Path, cells: str, revenue: str, gross: str | None
) -> None:
    contract = (
        HEAD
        + FILES
        + ORDERS
        + (
            '[order_items]\nkey = "order"\n[order_items.columns]\norder_id = "Order"\n'
            'unit_price = "Unit"\n'
            'before_discount = "Before"\ndiscount = "Off"\ndiscount_rate = "Share"\n'
            'after_discount = "After"\n'
            'quantity = "Qty"\n'
        )
    )
    outcome = check(
        tmp_path, contract, [File("sales.csv", f"{MONEY_HEADER}\n1,{DAY},{cells}\n", 0)]
    )
    assert row(outcome)["total_revenue"] == Decimal(revenue)
    assert row(outcome).get("gross_sales") == (None if gross is None else Decimal(gross))


def test_rule_11_lines_are_rounded_once_to_four_places(tmp_path: Path) -> None:
    rows = [f"1,{DAY},A,1,0.0050"] * 3
    contract = HEAD + FILES + ORDERS + ITEMS
    outcome = check(tmp_path, contract, [File("sales.csv", sales(*rows), 0)])
    assert row(outcome)["total_revenue"] == Decimal("0.02")  # 0.0150, half to the even


@pytest.mark.parametrize(
    ("cells", "refused"), [(("-2", "-3"), False), (("2", "0"), False), (("2", "-3"), True)]
)
def test_rule_12_a_discount_is_a_size(
    tmp_path: Path, cells: tuple[str, str], refused: bool
) -> None:
    contract = (
        HEAD
        + FILES
        + ORDERS
        + ITEMS.replace("after_discount", "before_discount")
        + 'discount = "Off"\n'
    )
    header = "Order,Date,SKU,Qty,Total,Off"
    rows = [f"{n},{DAY},A,1,10,{cell}" for n, cell in enumerate(cells)]
    outcome = check(tmp_path, contract, [File("sales.csv", sales(*rows, header=header), 0)])
    assert (outcome.entries["sales.csv"].verdict == "refused") == refused
    if not refused:
        off = sum(abs(int(cell)) for cell in cells)
        assert row(outcome)["total_revenue"] == 20 - off
        assert row(outcome)["discounts"] == off


def test_rule_13_orders_have_totals_where_there_are_no_lines(tmp_path: Path) -> None:
    contract = HEAD + '[[files]]\nmatch = "o*"\nfeeds = ["orders"]\n' + ORDERS + 'total = "Total"\n'
    text = f"Order,Date,Total\n1,{DAY},5.00\n2,{DAY},\n"
    outcome = check(tmp_path, contract, [File("o.csv", text, 0)])
    assert row(outcome)["total_revenue"] == Decimal("5.00")
    assert row(outcome)["total_items_sold"] is None
    assert outcome.categories == {}


def test_rule_14_categories_add_up_to_the_day(tmp_path: Path) -> None:
    contract = HEAD + FILES + ORDERS + 'discount = "Off"\n' + ITEMS + 'category = "SKU"\n'
    header = "Order,Date,SKU,Qty,Total,Off"
    text = sales(f"1,{DAY},A,1,10,3", f"1,{DAY},B,1,10,3", header=header)
    outcome = check(tmp_path, contract, [File("sales.csv", text, 0)])
    assert row(outcome)["total_revenue"] == 17
    assert outcome.categories[DAY, "(order)"] == {
        "daily_revenue": Decimal("-3.00"),
        "avg_order_value": None,
        "avg_return_rate": None,
    }
    assert sum(one["daily_revenue"] for one in outcome.categories.values()) == 17


def test_rule_15_refund_rows_count_on_their_own_day(tmp_path: Path) -> None:
    contract = HEAD + FILES + REFUND_FILE + ORDERS + ITEMS + REFUNDS
    files = [
        File("sales.csv", sales(f"1,{DAY},A,1,5"), 0),
        File("refunds.csv", f"Order,Date,Amount\n1,{NEXT},-3\n,{NEXT},-1\n1,,-0.5\n", 1),
    ]
    outcome = check(tmp_path, contract, files)
    assert row(outcome)["refunds"] == Decimal("0.50")
    assert row(outcome)["total_revenue"] == 5
    assert row(outcome, NEXT)["refunds"] == 4
    assert row(outcome, NEXT)["total_orders"] == 0
    assert row(outcome, NEXT)["return_rate"] is None


def test_rule_15_a_refund_in_a_column_counts_on_the_orders_day(tmp_path: Path) -> None:
    contract = HEAD + FILES + ORDERS + 'refund = "Back"\n' + ITEMS
    text = sales(f"1,{DAY},A,1,5,2.5", header="Order,Date,SKU,Qty,Total,Back")
    outcome = check(tmp_path, contract, [File("sales.csv", text, 0)])
    assert row(outcome)["net_sales"] == Decimal("2.50")


def test_rule_16_no_role_no_number(tmp_path: Path) -> None:
    contract = HEAD + '[[files]]\nmatch = "o*"\nfeeds = ["orders"]\n' + ORDERS
    outcome = check(tmp_path, contract, [File("o.csv", f"Order,Date\n1,{DAY}\n", 0)])
    assert row(outcome) == {
        "total_orders": 1,
        "total_revenue": None,
        "total_items_sold": None,
        "return_rate": Decimal("0.0000"),
        "unique_customers": None,
    }


@pytest.mark.parametrize(
    ("own", "sku", "category"),
    [
        ("Toys", "A", "Toys"),
        ("", "A", "Games"),
        ("", "", "(none)"),
        ("", "B", "(none)"),
        ("", "C", "(unknown)"),
    ],
)
def test_rule_17_category_of_line_then_product(
    tmp_path: Path, own: str, sku: str, category: str
) -> None:
    contract = (
        HEAD + FILES + '[[files]]\nmatch = "products*"\nfeeds = ["products"]\n' + ORDERS + ITEMS
    )
    contract += 'category = "Group"\n[products.columns]\nid = "SKU"\ncategory = "Kind"\n'
    files = [
        File(
            "sales.csv",
            sales(f"1,{DAY},{sku},1,5,{own}", header="Order,Date,SKU,Qty,Total,Group"),
            0,
        ),
        File("products.csv", "SKU,Kind\nA,Games\nB,\n", 1),
    ]
    assert list(check(tmp_path, contract, files).categories) == [(DAY, category)]


VIA = (
    HEAD
    + FILES
    + (
        '[[files]]\nmatch = "prices*"\nfeeds = ["prices"]\n'
        + ORDERS
        + '[order_items]\nkey = "order"\n[order_items.columns]\norder_id = "Order"\n'
        'quantity = "Qty"\n'
        'unit_price = { from = "SKU", via = "prices.price" }\n[references.prices]\nkey = "sku"\n'
    )
)


def test_rule_18_a_reference_has_the_row_in_force_on_the_orders_day(tmp_path: Path) -> None:
    files = [
        File("sales.csv", sales(f"1,{DAY},A,2,", f"2,{NEXT},A,1,", "3,2025-02-01,A,1,"), 0),
        File("prices.csv", f"sku,price,from\nA,10,{DAY}\nA,12,{NEXT}\n", 1),
    ]
    outcome = check(tmp_path, VIA + 'valid_from = "from"\n', files)
    assert row(outcome)["total_revenue"] == 20
    assert row(outcome, NEXT)["total_revenue"] == 12
    assert row(outcome, "2025-02-01")["total_revenue"] == 0


@pytest.mark.parametrize("one_by_one", [False, True])
def test_rule_18_a_reference_that_changes_recomputes_its_days(
    tmp_path: Path, one_by_one: bool
) -> None:
    files = [
        File("sales.csv", sales(f"1,{DAY},A,2,", f"1,{DAY},B,1,"), 0),
        File("prices1.csv", "sku,price\nA,10\n", 1),
        File("prices2.csv", "sku,price\nA,11\n", 2),
    ]
    assert row(check(tmp_path, VIA, files, one_by_one=one_by_one))["total_revenue"] == 22


def test_rule_18_a_required_value_that_has_not_come_waits(tmp_path: Path) -> None:
    contract = VIA.replace('via = "prices.price"', 'via = "prices.price", required = true')
    files = [
        File("sales.csv", sales(f"1,{DAY},A,2,", f"1,{DAY},B,1,"), 0),
        File("prices.csv", "sku,price\nA,10\n", 1),
    ]
    outcome = check(tmp_path, contract, files)
    assert (row(outcome)["total_items_sold"], outcome.waiting) == (2, 1)


def test_rule_18_look_ups_may_be_chained(tmp_path: Path) -> None:
    contract = (
        HEAD
        + FILES
        + (
            '[[files]]\nmatch = "p*"\nfeeds = ["products"]\n[[files]]\nmatch = "sub*"\n'
            'feeds = ["subs"]\n'
            '[[files]]\nmatch = "cat*"\nfeeds = ["cats"]\n'
            + ORDERS
            + ITEMS
            + '[products.columns]\nid = "SKU"\n'
            'category = { from = "sub", via = ["subs.cat", "cats.name"] }\n'
            '[references.subs]\nkey = "sub"\n[references.cats]\nkey = "cat"\n'
        )
    )
    files = [
        File("sales.csv", sales(f"1,{DAY},A,1,5", f"1,{DAY},B,1,5"), 0),
        File("p.csv", "SKU,sub\nA,s1\nB,s9\n", 1),
        File("sub.csv", "sub,cat\ns1,c1\n", 2),
        File("cat.csv", "cat,name\nc1,Tools\n", 3),
    ]
    assert set(check(tmp_path, contract, files).categories) == {(DAY, "Tools"), (DAY, "(unknown)")}


def test_rule_19_products_may_feed_from_order_lines(tmp_path: Path) -> None:
    contract = HEAD + FILES.replace('"order_items"]', '"order_items", "products"]') + ORDERS + ITEMS
    contract += '[products.columns]\nid = "SKU"\ncategory = "Kind"\n'
    text = sales(f"1,{DAY},A,1,5,Old", f"2,{DAY},A,1,5,New", header="Order,Date,SKU,Qty,Total,Kind")
    assert list(check(tmp_path, contract, [File("sales.csv", text, 0)]).categories) == [
        (DAY, "New")
    ]


FOREIGN = HEAD + 'currency = "EUR"\n' + FILES + ORDERS + 'currency = "Cur"\n'


def test_rule_20_amounts_of_other_currencies_are_never_added(tmp_path: Path) -> None:
    text = sales(
        f"1,{DAY},A,1,5,eur",
        f"2,{DAY},A,1,7,USD",
        f"3,{DAY},A,1,1,",
        f"4,{NEXT},A,1,9,JPY",
        header="Order,Date,SKU,Qty,Total,Cur",
    )
    outcome = check(tmp_path, FOREIGN + ITEMS, [File("sales.csv", text, 0)])
    assert row(outcome)["total_revenue"] == 6
    assert row(outcome)["other_currency_orders"] == 1
    assert row(outcome, NEXT)["total_orders"] == 0
    assert row(outcome, NEXT)["other_currency_orders"] == 1


def test_rule_20_a_rate_divides_the_money_of_its_row(tmp_path: Path) -> None:
    contract = FOREIGN + 'rate = "Rate"\ndiscount = "Off"\n' + ITEMS
    text = sales(
        f"1,{DAY},A,1,40,AUD,1.5,3",
        f"2,{DAY},A,1,7,USD,,0",
        header="Order,Date,SKU,Qty,Total,Cur,Rate,Off",
    )
    outcome = check(tmp_path, contract, [File("sales.csv", text, 0)])
    assert row(outcome)["total_revenue"] == Decimal("24.67")
    assert row(outcome)["other_currency_orders"] == 1


def test_rule_21_quantities_have_three_places_and_ids_are_text(tmp_path: Path) -> None:
    contract = HEAD + FILES + ORDERS + 'user_id = { from = "User", type = "integer" }\n' + ITEMS
    header = "Order,Date,SKU,Qty,Total,User"
    text = sales(f"1,{DAY},A,2.0,5,13085.0", f"01,{DAY},A,0.125,5,13085", header=header)
    outcome = check(tmp_path, contract, [File("sales.csv", text, 0)])
    assert row(outcome)["total_orders"] == 2
    assert row(outcome)["total_items_sold"] == Decimal("2.125")
    assert row(outcome)["unique_customers"] == 1


@pytest.mark.parametrize(
    ("day", "written", "expected"),
    [
        ("as written", "2025-03-01T23:30:00-05:00", "2025-03-01"),
        ("UTC", "2025-03-01T23:30:00-05:00", "2025-03-02"),
        ("Europe/Berlin", "2025-03-01T23:30:00", "2025-03-02"),
        ("Europe/Berlin", "1969-12-31T23:30:00", "1970-01-01"),
        ("America/New_York", "2041-07-02T03:30:00Z", "2041-07-01"),
    ],
)
def test_rule_22_a_day_is_as_written_or_of_a_zone(
    tmp_path: Path, day: str, written: str, expected: str
) -> None:
    contract = HEAD.replace("as written", day).replace("2026-12-31", "2100-01-01")
    contract += 'not_before = "1900-01-01"\n' + FILES + ORDERS + ITEMS
    outcome = check(tmp_path, contract, [File("sales.csv", sales(f"1,{written},A,1,5"), 0)])
    assert list(outcome.orders) == [expected]


def test_rule_23_a_shipping_line_is_left_out_by_excluded(tmp_path: Path) -> None:
    contract = (
        HEAD
        + FILES
        + ORDERS
        + ITEMS.replace(
            'key = "order"', 'key = "order"\nexcluded = { product_id = ["SHIPPING", "TIP"] }'
        )
    )
    text = sales(f"1,{DAY},A,1,5", f"1,{DAY},shipping,1,4.9", f"1,{DAY},TIP,1,1")
    outcome = check(tmp_path, contract, [File("sales.csv", text, 0)])
    assert (row(outcome)["total_revenue"], row(outcome)["total_items_sold"]) == (5, 1)


@pytest.mark.parametrize(
    ("texts", "kept"),
    [
        ('"A"', "A a"),
        ('["A", "B"]', "A a B"),
        ('"!A"', "B BC '' -1"),
        ('["!A", "!B"]', "BC '' -1"),
        ('["B*", "!BC"]', "B"),
        ('"*"', "A a B BC -1"),
        ('""', "''"),
        ('"!"', "A a B BC -1"),
        ('"<0"', "-1"),
        ('"*C"', "BC"),
    ],
)
def test_rule_24_lists_hold_by_any_plain_text_and_no_negated_one(
    tmp_path: Path, texts: str, kept: str
) -> None:
    contract = (
        HEAD
        + FILES
        + f"only.orders = {{ SKU = {texts} }}\nonly.order_items = {{ SKU = {texts} }}\n"
    )
    contract += ORDERS + ITEMS
    every = ["A", "a", "B", "BC", "", "-1"]
    text = sales(*(f"{n},{DAY},{sku},1,5" for n, sku in enumerate(every)))
    outcome = check(tmp_path, contract, [File("sales.csv", text, 0)])
    assert row(outcome)["total_orders"] == len(kept.split())


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (" order ,DATE,sku,qty,TOTAL", None),
        ("Order,Date,SKU,Qty,Total,total", "'Total', 'total'"),
        ("Order,Date,SKU,Qty,Amount", "total"),
    ],
)
def test_rule_25_headers_are_exact_and_stand_once(
    tmp_path: Path, header: str, reason: str | None
) -> None:
    wide = ",5" * (header.count(",") - 4)
    text = sales(f"1,{DAY},A,1,5{wide}", header=header)
    outcome = run(tmp_path, HEAD + FILES + ORDERS + ITEMS, [File("sales.csv", text, 0)])
    entry = outcome.entries["sales.csv"]
    assert (entry.verdict == "refused") == (reason is not None)
    assert reason is None or reason in str(entry.reason)


def test_rule_25_the_first_header_that_the_file_has_counts(tmp_path: Path) -> None:
    contract = HEAD + FILES + ORDERS.replace('"Date"', '{ from = ["Processed", "Date"] }') + ITEMS
    files = [
        File(
            "sales1.csv",
            sales(f"1,{DAY},A,1,5,{NEXT}", header="Order,Date,SKU,Qty,Total,Processed"),
            0,
        ),
        File("sales2.csv", sales(f"2,{DAY},A,1,5"), 1),
    ]
    assert set(check(tmp_path, contract, files).orders) == {DAY, NEXT}


def test_rule_27_float_noise_is_rounded_and_counted(tmp_path: Path) -> None:
    contract = HEAD + FILES + ORDERS + ITEMS
    text = sales(f"1,{DAY},A,1,19.989999771118164", f"1,{DAY},A,1,5.00")
    outcome = check(tmp_path, contract, [File("sales.csv", text, 0)])
    assert outcome.entries["sales.csv"].feeds["order_items"].notes == {"rounded": 1}
    assert row(outcome)["total_revenue"] == Decimal("24.99")


@pytest.mark.parametrize("written", ["1999-12-31", "2027-01-01"])
def test_rule_27_a_day_outside_the_bounds_is_a_reject(tmp_path: Path, written: str) -> None:
    rows = [f"{n},{DAY},A,1,5" for n in range(20)]
    text = sales(*rows, f"99,{written},A,1,5")
    outcome = check(tmp_path, HEAD + FILES + ORDERS + ITEMS, [File("sales.csv", text, 0)])
    assert outcome.entries["sales.csv"].reasons == {"out_of_range": 1}


def test_rule_27_an_escape_character_makes_a_quote_a_plain_one(tmp_path: Path) -> None:
    contract = HEAD + FILES + 'escape = "\\\\"\n' + ORDERS + ITEMS + 'category = "SKU"\n'
    text = sales(f'1,{DAY},"a \\"b\\", c",1,5')
    outcome = run(tmp_path, contract, [File("sales.csv", text, 0)])
    assert list(outcome.categories) == [(DAY, 'a "b", c')]


def test_rule_04_the_receipt_counts_keys_with_different_rows(tmp_path: Path) -> None:
    text = f"id,at,status,changed\n1,{DAY},back,\n1,{NEXT},paid,\n2,{DAY},paid,\n2,{DAY},paid,\n"
    entry = check(tmp_path, VERSIONED, [File("o1.csv", text, 0)]).entries["o1.csv"]
    assert entry.feeds["orders"].notes == {"repeated_keys": 1}


def test_rule_16_blank_quantities_and_prices_are_counted(tmp_path: Path) -> None:
    contract = HEAD + FILES + ORDERS + ITEMS
    outcome = check(
        tmp_path, contract, [File("sales.csv", sales(f"1,{DAY},A,,", f"1,{DAY},B,2,5"), 0)]
    )
    notes = outcome.entries["sales.csv"].feeds["order_items"].notes
    assert notes == {"blank_quantities": 1, "unpriced_items": 1}
    assert row(outcome)["total_items_sold"] == 2


@pytest.mark.parametrize(
    ("header", "currencies", "refused"),
    [("Currency", "EUR USD", True), ("Currency", "EUR eur", False), ("Note", "EUR USD", False)],
)
def test_rule_20_an_undeclared_currency_with_two_values_refuses_the_file(
    tmp_path: Path, header: str, currencies: str, refused: bool
) -> None:
    lines = [f"{n},{DAY},A,1,5,{one}" for n, one in enumerate(currencies.split())]
    text = sales(*lines, header=f"Order,Date,SKU,Qty,Total,{header}")
    outcome = run(tmp_path, HEAD + FILES + ORDERS + ITEMS, [File("sales.csv", text, 0)])
    assert (outcome.entries["sales.csv"].verdict == "refused") == refused
