"""Messages that say what is the matter, and what to do, in words of the user's own files."""

from __future__ import annotations

import os

import pytest

from tests.e2e.files import put
from tests.support.commands import Shopkpi

CONTRACT = """
language = 2
name = "till"
day = "as written"

[[files]]
match = "sales*.csv"
feeds = ["orders", "order_items"]

[orders]
[orders.columns]
order_id = "Order"
created_at = "Date"

[order_items]
key = "order"
[order_items.columns]
order_id = "Order"
after_discount = "Total"
"""

HEADER = "Order,Date,Total\n"


def test_differences_of_contracts_are_in_their_words(shopkpi: Shopkpi) -> None:
    put("c.toml", CONTRACT)
    put("in/sales.csv", HEADER + "1,2025-03-01,5.00\n")
    assert shopkpi("run", "in", "--contract", "c.toml").code == 0
    put("d.toml", CONTRACT.replace('"sales*.csv"', '"sales*.csv"\nblanks = ["NA"]'))
    done = shopkpi("contract", "adopt", "d.toml", "--dry-run", "--format", "json")
    assert "files 1.blanks: not there -> ['NA']" in done.err
    assert "Layout(" not in done.err


def test_adoption_names_earlier_versions_that_are_gone(shopkpi: Shopkpi) -> None:
    put("c.toml", CONTRACT)
    put("in/sales.csv", HEADER + "1,2025-03-01,5.00\n")
    shopkpi("run", "in", "--contract", "c.toml")
    (old,) = shopkpi("ledger", "--format", "json").json
    path = put("in/sales.csv", HEADER + "1,2025-03-01,7.00\n2,2025-03-02,9.00\n")
    os.utime(path, (path.stat().st_mtime + 10,) * 2)
    shopkpi("run", "in")
    put("d.toml", CONTRACT.replace('"sales*.csv"', '"sales*.csv"\nblanks = ["NA"]'))
    done = shopkpi("contract", "adopt", "d.toml")
    assert done.code == 2
    assert f"`shopkpi retract {old['source_id']}` leaves them out" in done.err
    assert shopkpi("retract", old["source_id"]).code == 0
    assert shopkpi("contract", "adopt", "d.toml").code == 0
    revenues = [row["total_revenue"] for row in shopkpi("query", "orders").json]
    assert revenues == ["7.00", "9.00"]
    assert shopkpi("audit").code == 0


def test_a_file_refused_and_later_accepted_is_told(shopkpi: Shopkpi) -> None:
    put("c.toml", CONTRACT)
    put("in/sales.csv", HEADER + "2,2025-03-01,5.00\n")
    put("in/sales-2.csv", "Order,Day,Total\n1,2025-03-01,8.00\n")
    shopkpi("run", "in", "--contract", "c.toml")
    put("d.toml", CONTRACT.replace('"Date"', '{ from = ["Date", "Day"] }'))
    done = shopkpi("contract", "adopt", "d.toml", "--format", "json")
    assert done.code == 0, done.err
    refused, accepted = shopkpi("ledger", "sales-2.csv", "--format", "json").json
    assert (refused["verdict"], accepted["verdict"]) == ("refused", "accepted")
    assert accepted["refused_at"] == refused["sequence"]
    shown = shopkpi("ledger", "--format", "table").out
    assert f"sales-2.csv at {refused['sequence']}, accepted at {accepted['sequence']}" in shown


@pytest.mark.parametrize("text", ["", "# shop\n"])
def test_an_empty_contract_is_named(shopkpi: Shopkpi, text: str) -> None:
    put("c.toml", text)
    done = shopkpi("contract", "check", "c.toml")
    assert done.code == 2
    assert "nothing is said in it; `shopkpi contract infer FOLDER > FILE`" in done.err
    assert done.err.count("\n") <= 2


def test_a_missing_table_is_missing_and_not_none(shopkpi: Shopkpi) -> None:
    put("c.toml", 'name = "x"\n')
    done = shopkpi("contract", "check", "c.toml")
    assert "orders: expected a table, it is missing" in done.err
    assert "None" not in done.err


def test_an_audit_before_any_file_says_so(shopkpi: Shopkpi) -> None:
    put("c.toml", CONTRACT)
    done = shopkpi("audit", "--contract", "c.toml", "--format", "table")
    assert done.code == 0
    assert "nothing to compare: no file was accepted yet" in done.out
