"""Customers of contracts of language 2: one file of several datasets, refunds, look-ups."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.erasure.places import mentions
from tests.support.commands import Shopkpi

PERSON = "ada.l@example.org"
STORED = Path(".shopkpi")

SALES = """language = 2
name = "sales"
day = "as written"
not_after = "2099-12-31"
[[files]]
match = "sales*.csv"
feeds = ["orders", "order_items"]
[[files]]
match = "refunds*.csv"
feeds = ["refunds"]
[orders.columns]
order_id = "Order"
created_at = "Date"
user_id = "Email"
[order_items]
key = "order"
[order_items.columns]
order_id = "Order"
product_id = "SKU"
quantity = "Qty"
after_discount = "Total"
[refunds]
key = "row"
[refunds.columns]
order_id = "Order"
created_at = "Date"
amount = "Amount"
"""
HEADER = "Order,Date,Email,SKU,Qty,Total\n"
ROWS = (
    f"1,2025-03-01,{PERSON},a,1,10.00\n"
    f"2,2025-03-01,bob@example.org,a,1,100.00\n"
    f"3,2025-03-02,{PERSON},b,2,7.00\n"
    f"3,2025-03-02,{PERSON},c,1,3.00\n"
)
BROKEN = f"4,never,{PERSON},b,2,7.00\n"

LOOKED_UP = """language = 2
name = "looked up"
day = "as written"
not_after = "2099-12-31"
[[files]]
match = "orders*.csv"
feeds = ["orders"]
[[files]]
match = "lines*.csv"
feeds = ["order_items"]
[[files]]
match = "people*.csv"
feeds = ["people"]
[orders.columns]
order_id = "Order"
created_at = "Date"
user_id = { from = "Account", via = "people.Person" }
[order_items]
key = "order"
[order_items.columns]
order_id = "Order"
quantity = "Qty"
after_discount = "Total"
[references.people]
key = "Account"
"""
ORDERS = "Order,Date,Account\n1,2025-03-01,acc-771\n2,2025-03-01,acc-5\n3,2025-03-02,acc-772\n"
LINES = "Order,Qty,Total\n1,1,10.00\n2,1,100.00\n3,1,7.00\n"
PEOPLE = f"Account,Person\nacc-771,{PERSON}\nacc-772,{PERSON}\nacc-5,bob\n"


def put(name: str, text: str) -> None:
    path = Path("shop", name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def kpis(shopkpi: Shopkpi) -> list[tuple[object, ...]]:
    rows = shopkpi("query", "orders", "--format", "json").json
    names = ("order_date", "total_orders", "total_revenue", "unique_customers", "refunds")
    return [tuple(row.get(name) for name in names) for row in rows]


def erase(shopkpi: Shopkpi, *options: str) -> dict[str, object]:
    done = shopkpi("erase-customer", PERSON, *options, "--format", "json")
    assert PERSON not in done.out + done.err
    return {event["event"]: event for event in done.events}["customer.erased"]


@pytest.mark.parametrize("option", ["--pseudonymise", "--delete"])
def test_a_file_of_several_datasets_loses_its_customer(shopkpi: Shopkpi, option: str) -> None:
    Path("c.toml").write_text(SALES)
    many = "".join(f"{one},2025-03-05,x,a,1,1.00\n" for one in range(10, 30))
    put("sales1.csv", HEADER + ROWS + BROKEN + many)
    put("refunds1.csv", "Order,Date,Amount\n1,2025-03-09,4.00\n2,2025-03-09,1.00\n")
    assert shopkpi("run", "shop", "--contract", "c.toml").code == 0
    before = kpis(shopkpi)
    assert len(mentions(PERSON, [STORED])) >= 2

    event = erase(shopkpi, option)
    assert event["rows"]["erased_rejects"] == 1  # type: ignore[index]
    after = kpis(shopkpi)
    assert mentions(PERSON, [STORED]) == []
    assert shopkpi("audit", "--recount", "9").code == 0
    if option == "--pseudonymise":
        assert after == before
    else:
        assert [row[:4] for row in after if row[1]] == [
            ("2025-03-01", 1, "100.00", 1),
            ("2025-03-05", 20, "20.00", 1),
        ]
        assert {row[0]: row[4] for row in after}["2025-03-09"] == "1.00"

    put("sales2.csv", HEADER + ROWS + BROKEN + many)
    put("refunds2.csv", "Order,Date,Amount\n1,2025-03-09,4.00\n")
    done = shopkpi("run", "shop", "--format", "json")
    assert done.code == 0, done.err
    assert kpis(shopkpi) == after or option == "--pseudonymise"
    assert mentions(PERSON, [STORED]) == []
    assert shopkpi("audit", "--recount", "9").code == 0


def test_a_deletion_does_not_change_the_verdict_on_a_file(shopkpi: Shopkpi) -> None:
    Path("c.toml").write_text(SALES + "[limits]\nmax_reject_rate = 0.5\n")
    put("sales1.csv", HEADER + ROWS + "4,never,x,b,2,7.00\n")
    assert shopkpi("run", "shop", "--contract", "c.toml").code == 0
    erase(shopkpi, "--delete")
    # Of the second, no row is left but a reject: one of two.
    put("sales2.csv", HEADER + ROWS.replace("2,2025-03-01,bob@example.org,a,1,100.00\n", ""))
    put("sales3.csv", HEADER + ROWS.split("2,2025", maxsplit=1)[0] + "4,never,x,b,2,7.00\n")
    done = shopkpi("run", "shop", "--format", "json")
    verdicts = {
        one["url"].rsplit("/", 1)[1]: one["verdict"]
        for one in done.events
        if one["event"] in ("source.committed", "source.refused")
    }
    assert verdicts == {"sales2.csv": "accepted", "sales3.csv": "accepted"}


@pytest.mark.parametrize("option", ["--pseudonymise", "--delete"])
def test_a_customer_that_is_looked_up_is_erased_with_other_ids(
    shopkpi: Shopkpi, option: str
) -> None:
    Path("c.toml").write_text(LOOKED_UP)
    put("orders1.csv", ORDERS)
    put("lines1.csv", LINES)
    put("people1.csv", PEOPLE)
    assert shopkpi("run", "shop", "--contract", "c.toml").code == 0
    before = kpis(shopkpi)
    assert [row[3] for row in before] == [2, 1]

    erase(shopkpi, option)
    after = kpis(shopkpi)
    assert after == (
        before if option == "--pseudonymise" else [("2025-03-01", 1, "100.00", 1, None)]
    )
    for name in (PERSON, "acc-771", "acc-772"):
        assert mentions(name, [STORED]) == []
    assert shopkpi("audit", "--recount", "9").code == 0

    put("people2.csv", PEOPLE)
    put("orders2.csv", ORDERS)
    put("lines2.csv", LINES)
    assert shopkpi("run", "shop").code == 0
    assert kpis(shopkpi) == after
    for name in (PERSON, "acc-771", "acc-772"):
        assert mentions(name, [STORED]) == []
