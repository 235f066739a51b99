"""A small shop by a contract of language 2, with files of several formats."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence

from tests.recovery.shop import Shop, csv_of

CONTRACT = """
language = 2
name = "language 2"
day = "as written"
not_after = "2026-12-31"

[limits]
max_reject_rate = 0.5

[[files]]
match = "orders/*"
feeds = ["orders"]

[[files]]
match = "order_items/*"
feeds = ["order_items"]
replaces = "file"

[[files]]
match = "people/*"
feeds = ["people"]

[[files]]
match = "refunds/*"
feeds = ["refunds"]

[[files]]
match = "products/*"
feeds = ["products"]

[orders]
returned = { status = "returned" }
[orders.columns]
order_id = "order_id"
created_at = "created_at"
status = "status"
user_id = { from = "user_id", via = "people.person", required = true }

[order_items]
key = "order"
[order_items.columns]
order_id = "order_id"
product_id = "product_id"
after_discount = "sale_price"

[refunds]
key = "id"
[refunds.columns]
id = "id"
order_id = "order_id"
amount = "amount"

[products.columns]
id = "id"
category = "category"

[references.people]
key = "who"
"""
"""Orders wait for their customer, lines and refunds for their order."""


def first_files() -> dict[str, bytes]:
    """Return key -> content. One file is refused; the others have a few rejects."""
    statuses = ("delivered", "returned", "shipped")
    orders = [
        (str(one), str(one % 5), statuses[one % 3], f"2025-03-{1 + one % 3:02d}T10:00:00")
        for one in range(18)
    ]
    dirt = ("?", "", "returned", "never")
    # Products above 3 are never described; orders from 18 on come later, or never.
    lines = [(str(one % 21), str(one % 9), f"{one}.{one % 100:02d}") for one in range(30)]
    return {
        "products/1.csv": csv_of(
            "id,category", [(str(one), f"kind {one % 2}") for one in range(4)]
        ),
        # The last customer comes later.
        "people/1.csv": csv_of("who,person", [(str(one), f"p{one % 2}") for one in range(4)]),
        "orders/1.jsonl": _json_lines([*orders, dirt]),
        "orders/refused.jsonl": _json_lines([orders[0], dirt, dirt]),
        "order_items/1.zip": _zip(
            {"a.csv": lines[:20], "b.csv": [*lines[20:], ("1", "1", "much")]}
        ),
        "refunds/1.csv": csv_of("id,order_id,amount", [("a", "1", "2.50"), ("b", "19", "1.00")]),
    }


def later_files() -> dict[str, bytes]:
    """Return orders that move, lines that replace a file, and customers that orders wait for."""
    return {
        "orders/2.jsonl": _json_lines(
            [
                # The last order of 2025-03-02 but for these moves to the next day.
                *((str(one), "3", "returned", "2025-03-03T09:00:00") for one in (1, 4, 7)),
                ("18", "2", "delivered", "2025-03-04T09:00:00"),
            ]
        ),
        "people/2.csv": csv_of("who,person", [("4", "p9"), ("0", "p1")]),
        "order_items/1.zip": _zip(
            {
                "a.csv": [(str(one), str(one % 9), f"{one}.50") for one in range(2, 15)],
                "c.csv": [("18", "2", "8.00")],
            }
        ),
        "refunds/2.csv": csv_of("id,order_id,amount", [("a", "2", "3.00")]),
    }


def _json_lines(orders: Sequence[Sequence[str]]) -> bytes:
    names = ("order_id", "user_id", "status", "created_at")
    return b"".join(
        json.dumps(dict(zip(names, one, strict=True))).encode() + b"\n" for one in orders
    )


def _zip(members: Mapping[str, Sequence[tuple[str, ...]]]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, lines in members.items():
            info = zipfile.ZipInfo(name)  # of a time that does not change
            archive.writestr(info, csv_of("order_id,product_id,sale_price", lines))
    return out.getvalue()


LANGUAGE_2 = Shop(
    first=first_files(), later=later_files(), orders="orders/2.jsonl", contract=CONTRACT
)


def _without_archives(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files with each archive as one file of its members' rows.

    An archive is read from a thread that waits for the event loop, so that its calls come in no
    fixed order.
    """
    found = dict(files)
    for key in [one for one in files if one.endswith(".zip")]:
        with zipfile.ZipFile(io.BytesIO(found.pop(key))) as archive:
            members = [archive.read(name) for name in archive.namelist()]
        header = members[0].splitlines(keepends=True)[0]
        text = header + b"".join(one.removeprefix(header) for one in members)
        found[key.replace(".zip", ".csv")] = text
    return found


LANGUAGE_2_OF_TEXTS = Shop(
    first=_without_archives(LANGUAGE_2.first),
    later=_without_archives(LANGUAGE_2.later),
    orders=LANGUAGE_2.orders,
    contract=CONTRACT,
)
