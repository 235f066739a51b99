"""A file of another shop is reported, and counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.commands import shopkpi
from worker.transform.takeovers import input_of

HEADER = "order_id,user_id,created_at"
FIRST = ["1,100,2026-11-23T10:00:00", "2,101,2026-11-23T10:00:00", "3,102,2026-11-24T10:00:00"]


def put(home: Path, shop: str, name: str, rows: list[str]) -> None:
    path = home / shop / "orders" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([HEADER, *rows, ""]), "utf-8")


def takeovers(home: Path, shop: str, *options: str) -> list[tuple[int, int]]:
    done = shopkpi(home, "run", shop, "--format", "json", *options)
    assert done.code == 0, done.err
    return [
        (one["rows"], one["of_rows"]) for one in done.events if one["event"] == "source.takeover"
    ]


LANGUAGE_2 = """language = 2
name = "two"
day = "UTC"
[[files]]
match = "orders/*"
feeds = ["orders"]
[orders.columns]
order_id = "order_id"
user_id = "user_id"
created_at = "created_at"
"""

OTHER = ["1,900,2026-11-25T10:00:00", "2,901,2026-11-25T10:00:00"]


@pytest.mark.parametrize(
    ("shop", "rows", "found"),
    [
        ("b", OTHER, [(2, 2)]),
        ("b", [*OTHER, "7,1,2026-11-25T10:00:00"], [(2, 3)]),
        # Half of the orders are no more than half.
        ("b", [*OTHER, "7,1,2026-11-25T10:00:00", "8,1,2026-11-25T10:00:00"], []),
        # The same customers on other days, or other customers on the same days: corrections.
        ("b", ["1,100,2026-11-25T10:00:00"], []),
        ("b", ["1,900,2026-11-23T11:00:00"], []),
        ("b", ["11,900,2026-11-25T10:00:00"], []),
        # A later file of an input that is known.
        ("a", OTHER, []),
    ],
)
def test_orders_of_another_shop_are_told(
    tmp_path: Path, shop: str, rows: list[str], found: list[tuple[int, int]]
) -> None:
    put(tmp_path, "a", "first.csv", FIRST)
    assert takeovers(tmp_path, "a") == []
    put(tmp_path, shop, "second.csv", rows)
    assert takeovers(tmp_path, shop) == found
    # Said once, when it came.
    assert takeovers(tmp_path, shop) == []


def test_a_contract_of_language_2_tells_them_too(tmp_path: Path) -> None:
    (tmp_path / "two.toml").write_text(LANGUAGE_2, "utf-8")
    put(tmp_path, "a", "first.csv", FIRST)
    assert takeovers(tmp_path, "a", "--contract", "two.toml") == []
    put(tmp_path, "c", "more.csv", ["1,100,2026-11-24T10:00:00", "2,900,2026-11-23T10:00:00"])
    assert takeovers(tmp_path, "c") == []
    put(tmp_path, "b", "second.csv", [*OTHER, "7,1,2026-11-25T10:00:00"])
    assert takeovers(tmp_path, "b") == [(2, 3)]
    assert takeovers(tmp_path, "b") == []
    # Another day of an input that is known.
    put(tmp_path, "b", "third.csv", ["3,903,2026-11-26T10:00:00"])
    assert takeovers(tmp_path, "b") == []
    assert receipt(tmp_path, "b/orders/second.csv")["taken_over_orders"] == 2


def receipt(home: Path, name: str) -> dict[str, object]:
    (found,) = shopkpi(home, "ledger", name, "--format", "json").json
    (at_first,) = shopkpi(home, "ledger", name, "--at-first", "--format", "json").json
    assert at_first.get("taken_over_orders") == found.get("taken_over_orders")
    return dict(found)


def test_the_receipt_says_what_was_taken_over(tmp_path: Path) -> None:
    put(tmp_path, "a", "first.csv", FIRST)
    put(tmp_path, "b", "second.csv", OTHER)
    takeovers(tmp_path, "a")
    takeovers(tmp_path, "b")
    assert "taken_over_orders" not in receipt(tmp_path, "first.csv")
    assert receipt(tmp_path, "second.csv")["taken_over_orders"] == 2
    # Without the file that had the ids before, there is nothing to take over.
    shopkpi(tmp_path, "retract", "first.csv", "--reason", "another shop")
    (now,) = shopkpi(tmp_path, "ledger", "second.csv", "--format", "json").json
    assert "taken_over_orders" not in now


def test_partitions_of_an_input_are_one_input() -> None:
    for name in ("in/a.csv", "in/dt=2026-11-01/a.csv", "in/2026/11/a.csv", "in/2026-11-01/a.csv"):
        assert input_of(name, 1) == "in"
    assert input_of("north/orders/a.csv", 2) == "north"


def test_the_command_that_takes_the_file_back_is_named(tmp_path: Path) -> None:
    put(tmp_path, "a", "first.csv", FIRST)
    before = shopkpi(tmp_path, "run", "a", "--format", "table")
    assert "another shop?" not in before.out
    put(tmp_path, "b", "second.csv", OTHER)
    done = shopkpi(tmp_path, "run", "b", "--format", "table")
    assert (done.code, "another shop? 2 of 2 orders" in done.out) == (0, True), done.out
    _, _, rest = done.out.replace("\n", " ").partition("`shopkpi retract ")
    source_id = rest.split("`")[0].strip()
    assert shopkpi(tmp_path, "retract", source_id, "--reason", "another shop").code == 0
    rows = shopkpi(tmp_path, "query", "orders", "--format", "json").json
    assert [row["order_date"] for row in rows] == ["2026-11-23", "2026-11-24"]


def test_shops_that_are_kept_apart_take_nothing_over(tmp_path: Path) -> None:
    put(tmp_path, "a", "first.csv", FIRST)
    put(tmp_path, "b", "second.csv", OTHER)
    assert takeovers(tmp_path, "a") == []
    done = shopkpi(tmp_path, "run", "b", "--shop", "berlin", "--format", "json")
    assert done.code == 0
    assert not [one for one in done.events if one["event"] == "source.takeover"]
    found = {
        shop: shopkpi(tmp_path, "query", "orders", "--shop", shop, "--format", "json").json
        for shop in ("default", "berlin")
    }
    assert [row["order_date"] for row in found["default"]] == ["2026-11-23", "2026-11-24"]
    assert [row["order_date"] for row in found["berlin"]] == ["2026-11-25"]
