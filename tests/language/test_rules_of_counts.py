"""Contract language 2 on small shops: orders, returns and money (rules 9 to 16)."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.language.contracts import FILES, HEAD, ITEMS, ORDERS, sales
from tests.language.days import DAY, NEXT, row
from tests.language.files import File
from tests.language.product import check

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


def test_rule_16_refund_rows_without_money_return_orders_alone(tmp_path: Path) -> None:
    listed = '\n[refunds]\nkey = "row"\n[refunds.columns]\norder_id = "Order"\n'
    contract = HEAD + FILES + REFUND_FILE + ORDERS + ITEMS + listed
    files = [
        File("sales.csv", sales(f"1,{DAY},A,1,5", f"2,{DAY},B,1,5"), 0),
        File("refunds.csv", "Order\n2\n9\n", 1),
    ]
    outcome = check(tmp_path, contract, files)
    assert row(outcome)["return_rate"] == Decimal("0.5")
    assert not {"refunds", "net_sales"} & row(outcome).keys()


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


@pytest.mark.parametrize(
    ("cells", "revenue", "discounts"),
    [
        ("10,1,3", "27.00", "3.00"),
        ("10,-1,3", "27.00", "3.00"),  # a size, as each discount
        ("0.3333,0.1111,0.333", "0.07", "0.04"),
        ("10,1,-2", "-18.00", "-2.00"),
        ("10,1,", "0.00", "0.00"),
        (",1,2", "-2.00", "2.00"),
    ],
)
def test_rule_11_a_discount_of_each_piece_is_taken_off_each(
    tmp_path: Path, cells: str, revenue: str, discounts: str
) -> None:
    items = '[order_items]\nkey = "order"\n[order_items.columns]\norder_id = "Order"\n'
    items += 'unit_price = "Unit"\nunit_discount = "Off"\nquantity = "Qty"\n'
    text = f"Order,Date,Unit,Off,Qty\n1,{DAY},{cells}\n"
    outcome = check(tmp_path, HEAD + FILES + ORDERS + items, [File("sales.csv", text, 0)])
    assert row(outcome)["total_revenue"] == Decimal(revenue)
    assert row(outcome)["discounts"] == Decimal(discounts)


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


def test_rule_16_blank_quantities_and_prices_are_counted(tmp_path: Path) -> None:
    contract = HEAD + FILES + ORDERS + ITEMS
    outcome = check(
        tmp_path, contract, [File("sales.csv", sales(f"1,{DAY},A,,", f"1,{DAY},B,2,5"), 0)]
    )
    notes = outcome.entries["sales.csv"].feeds["order_items"].notes
    assert notes == {"blank_quantities": 1, "unpriced_items": 1}
    assert row(outcome)["total_items_sold"] == 2
