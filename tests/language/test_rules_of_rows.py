"""Contract language 2 on small shops: which rows count (rules 1 to 8)."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.language.contracts import FILES, HEAD, ITEMS, ORDERS, sales
from tests.language.days import DAY, NEXT, row
from tests.language.files import File
from tests.language.product import check, run


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


KINDS = '[[files]]\nmatch = "kinds*.csv"\nfeeds = ["kinds"]\n[references.kinds]\nkey = "SKU"\n'


@pytest.mark.parametrize("length", [1024, 1025])
@pytest.mark.parametrize("column", ["SKU", "Kind"])
def test_texts_too_long_for_a_key_of_a_kpi_reject_their_row(
    tmp_path: Path, length: int, column: str
) -> None:
    contract = HEAD + FILES + ORDERS + ITEMS + 'category = "Kind"\n'
    texts = {"SKU": "A", "Kind": "K"} | {column: "\u00e4" * (length // 2) + "x" * (length % 2)}
    rows = [f"{n},{DAY},A,1,3.00,K" for n in range(20)]
    last = f"99,{DAY},{texts['SKU']},1,3.00,{texts['Kind']}"
    text = sales(*rows, last, header="Order,Date,SKU,Qty,Total,Kind")
    (entry,) = run(tmp_path, contract, [File("sales.csv", text, 0)]).entries.values()
    assert entry.rows_rejected == (length > 1024)


@pytest.mark.parametrize("length", [1024, 1025])
def test_a_reference_gives_no_category_too_long_for_a_key(tmp_path: Path, length: int) -> None:
    contract = HEAD + KINDS + FILES + ORDERS + ITEMS
    contract += 'category = { from = "SKU", via = "kinds.Kind" }\n'
    text = "SKU,Kind\n" + "".join(f"{n},K\n" for n in range(20)) + f"A,{'k' * length}\n"
    files = [File("kinds.csv", text, 0), File("sales.csv", sales(f"1,{DAY},A,1,5"), 1)]
    entries = run(tmp_path, contract, files).entries
    assert entries["kinds.csv"].rows_rejected == (length > 1024)


@pytest.mark.parametrize(
    ("offset", "rejected"),
    [
        *(("+14:00", 0), ("-1200", 0), ("+02", 0)),
        *(("+15:00", 1), ("-12:30", 1), ("+25:00", 1), ("+02:75", 1), ("-99", 1)),
    ],
)
def test_an_offset_that_no_clock_has_rejects_its_row(
    tmp_path: Path, offset: str, rejected: int
) -> None:
    contract = HEAD.replace('"as written"', '"UTC"') + FILES + ORDERS + ITEMS
    rows = [f"{n},{DAY}T10:00:00Z,A,1,3.00" for n in range(20)]
    text = sales(*rows, f"99,{DAY}T10:00:00{offset},A,1,3.00")
    (entry,) = check(tmp_path, contract, [File("sales.csv", text, 0)]).entries.values()
    assert entry.rows_rejected == rejected


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


MERGED = FILLED.replace('fill = "Order"', 'fill = "Order"\nmerged = ["Order"]')


def test_lines_of_merged_cells_are_of_the_order_above(tmp_path: Path) -> None:
    text = sales(
        f"1,{DAY},7,A,5.00", ",,,B,6.00", f"2,{DAY},,B,1.00", ",,,A,1.00", header=FILLED_HEADER
    )
    outcome = check(tmp_path, MERGED, [File("sales.csv", text, 0)])
    assert row(outcome)["total_orders"] == 2
    assert row(outcome)["total_revenue"] == Decimal("13.00")
    assert row(outcome)["anonymous_orders"] == 1
    assert outcome.entries["sales.csv"].rows_rejected == 0


def test_a_line_below_no_order_is_rejected(tmp_path: Path) -> None:
    contract = MERGED + "[limits]\nmax_reject_rate = 1\n"
    text = sales(",,,B,6.00", f"1,{DAY},7,A,5.00", header=FILLED_HEADER)
    outcome = check(tmp_path, contract, [File("sales.csv", text, 0)])
    assert outcome.entries["sales.csv"].rows_rejected == 1
    assert row(outcome)["total_revenue"] == Decimal("5.00")


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


@pytest.mark.parametrize("one_by_one", [False, True])
def test_rule_08_a_touched_file_takes_no_correction_back(tmp_path: Path, one_by_one: bool) -> None:
    """Equal bytes under one name that follow on each other count as their first."""
    contract = HEAD + FILES + 'replaces = "file"\n' + ORDERS + ITEMS
    wrong, right = sales(f"1,{DAY},A,1,5.00"), sales(f"1,{DAY},A,1,7.00")
    files = [
        File("sales1.csv", wrong, 0),
        File("sales2.csv", right, 1),
        File("sales1.csv", wrong, 2),
    ]
    found = row(check(tmp_path, contract, files, one_by_one=one_by_one))
    assert found["total_revenue"] == Decimal("7.00")


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


def test_rule_04_the_receipt_counts_keys_with_different_rows(tmp_path: Path) -> None:
    text = f"id,at,status,changed\n1,{DAY},back,\n1,{NEXT},paid,\n2,{DAY},paid,\n2,{DAY},paid,\n"
    entry = check(tmp_path, VERSIONED, [File("o1.csv", text, 0)]).entries["o1.csv"]
    assert entry.feeds["orders"].notes == {"repeated_keys": 1}
