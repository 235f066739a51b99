"""First contracts by hand: what a message says leads to the next try, and the last one is right."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.files import put
from tests.support.commands import Shopkpi

TOP = 'language = 2\nname = "mine"\nday = "as written"\ncurrency = "EUR"\n'


def contract(entry: str, orders: str, items: str) -> None:
    Path("c.toml").write_text(
        f"{TOP}\n[[files]]\n{entry}\nfeeds = ['orders', 'order_items']\n\n{orders}\n"
        f'\n[order_items]\nkey = "order"\n[order_items.columns]\n{items}\n'
    )


def tried(shopkpi: Shopkpi) -> str:
    """What `contract check --against` says of the folder `in`, on one line."""
    done = shopkpi("contract", "check", "c.toml", "--against", "in")
    return " ".join((done.out + done.err).split())


def totals(shopkpi: Shopkpi) -> dict[str, tuple[int, str]]:
    done = shopkpi("run", "in", "--contract", "c.toml", "--settle", "0", "--format", "json")
    assert done.code == 0, done.err
    rows = shopkpi("query", "orders", "--format", "json").json
    return {row["order_date"]: (row["total_orders"], row["total_revenue"]) for row in rows}


def test_a_suppliers_file_of_semicolons(shopkpi: Shopkpi) -> None:
    rows = "A-1;03.03.2025;4711;2;1.024,00\nA-1;03.03.2025;4712;1;35,50\nSumme;;;;1.059,50\n"
    text = "Lieferbericht;;;;\nAuftrag;Datum;Artikel;Stück;Wert\n" + rows
    put("in/Lieferung_KW10.csv", text.encode("cp1252"))
    entry = 'match = "Lieferung*"\nbegins = "Auftrag"\nnumbers = "1.234,50"\ndates = ["31.12.2025"]'
    orders = '[orders.columns]\norder_id = "Auftrag"\ncreated_at = "Datum"'
    items = 'order_id = "Auftrag"\nquantity = "Stück"\nafter_discount = "Wert"'
    contract(entry, orders, items)
    assert 'the file is no UTF-8: [[files]] says its encoding, such as encoding = "cp1252"' in (
        tried(shopkpi)
    )
    entry += '\nencoding = "cp1252"'
    contract(entry, orders, items)
    advice = tried(shopkpi)
    assert "`only` in the entry of [[files]] leaves out rows" in advice
    assert "`merged` there takes blank cells from the row above" in advice
    for name in ("orders", "order_items"):
        entry += f'\nonly.{name} = {{ Auftrag = "!Summe" }}'
    contract(entry, orders, items)
    assert totals(shopkpi) == {"2025-03-03": (1, "1059.50")}


def test_a_till_with_the_date_in_the_name_of_its_files(shopkpi: Shopkpi) -> None:
    put("in/till_2025-03-03.txt", "1;ESP;2;5,00\n1;CRO;1;2,50\n2;ESP;1;2,50\n")
    put("in/till_2025-03-04.txt", "1;CRO;3;7,50\n2;ESP;-1;-2,50\n")
    entry = 'match = "till_{date}.txt"\nnumbers = "1234,50"\n'
    entry += 'columns = ["Receipt", "Article", "Pieces", "Sum"]'
    orders = '[orders.columns]\norder_id = "Receipt"\ncreated_at = "{date}"'
    items = 'order_id = "Receipt"\nquantity = "Pieces"\nafter_discount = "Sum"'
    contract(entry, orders, items)
    assert "where numbers begin anew in each file, order_id joins them with the day" in (
        tried(shopkpi)
    )
    joined = '{ join = ["{date}", "Receipt"] }'
    contract(entry, orders.replace('"Receipt"', joined), items.replace('"Receipt"', joined, 1))
    assert totals(shopkpi) == {"2025-03-03": (2, "10.00"), "2025-03-04": (2, "5.00")}


def test_a_marketplaces_nested_json(shopkpi: Shopkpi) -> None:
    lines = [{"sku": "A", "count": 2, "price": {"cents": 1999}, "promo": 200}]
    order = {"ref": "M-1", "placed": {"at": "2025-03-03T23:30:00Z"}, "state": "refunded"}
    put("in/export.json", json.dumps({"orders": [order | {"lines": lines}]}))
    entry = 'match = "export*"\neach = "lines"'
    orders = '[orders]\nreturned = { state = "refunded" }\n[orders.columns]\n'
    orders += 'order_id = "ref"\ncreated_at = "placed.at"'
    items = 'order_id = "ref"\nquantity = "count"\nunit_price = "price.cents"\ndiscount = "promo"'
    contract(entry, orders, items)
    assert 'expected a column of [orders.columns], such as state = "HEADER"' in tried(shopkpi)
    orders += '\nstate = "state"'
    contract(entry, orders, items)
    assert "each may be 'orders' or 'orders.lines'" in tried(shopkpi)
    contract('match = "export*"\neach = "orders.lines"\nminor_units = true', orders, items)
    assert totals(shopkpi) == {"2025-03-03": (1, "37.98")}
