"""Receipts and rejects: true now, of the version that is meant, by any name people use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.files import ITEMS, ORDERS, put, put_shop
from tests.support.commands import Shopkpi


def effect(shopkpi: Shopkpi, *question: str) -> tuple[Any, ...]:
    (receipt,) = shopkpi("ledger", *question, "--format", "json").json
    names = ("effect", "superseded_rows", "waiting_items", "days", "first_day", "last_day")
    return tuple(receipt[name] for name in names)


def later(path: Path, seconds: int) -> None:
    os.utime(path, (path.stat().st_mtime + seconds,) * 2)


def test_receipt_of_a_file_says_what_is_true_now(shopkpi: Shopkpi) -> None:
    put("shop/order_items/1.csv", ITEMS + "1,1,1,,5.00\n2,2,1,,6.00\n3,9,1,,7.00\n")
    shopkpi("run", "shop")
    assert effect(shopkpi, "order_items/1.csv") == ("now", 0, 3, 0, None, None)
    put("shop/orders/1.csv", ORDERS + "1,7,,2025-03-01\n2,7,,2025-03-04\n")
    correction = put("shop/order_items/2.csv", ITEMS + "2,2,1,,6.50\n")
    later(correction, 10)
    shopkpi("run", "shop")
    expected = ("now", 1, 1, 1, "2025-03-01", "2025-03-01")
    assert effect(shopkpi, "order_items/1.csv") == expected
    # What no transform has published yet counts too.
    put("shop/orders/2.csv", ORDERS + "9,7,,2025-03-07\n")
    shopkpi("validate", "shop/orders/2.csv")
    expected = ("now", 1, 0, 2, "2025-03-01", "2025-03-07")
    assert effect(shopkpi, "order_items/1.csv") == expected
    assert effect(shopkpi, "orders/1.csv") == ("now", 0, 0, 2, "2025-03-01", "2025-03-04")
    at_first = ("at first", 0, 3, 0, None, None)
    assert effect(shopkpi, "order_items/1.csv", "--at-first") == at_first
    listed = shopkpi("ledger", "--format", "json").json
    assert listed[0]["url"].endswith("order_items/1.csv")
    assert (listed[0]["effect"], listed[0]["waiting_items"]) == ("at first", 3)
    assert "waiting and days at first" in shopkpi("ledger", "--format", "table").out


def test_receipt_of_language_2_says_what_is_true_now(shopkpi: Shopkpi) -> None:
    default = shopkpi("contract", "show", "default", "--language", "2").out
    put("two.toml", default)
    put("shop/order_items/1.csv", ITEMS + "1,1,1,,5.00\n2,2,1,,6.00\n")
    done = shopkpi("run", "shop", "--contract", "two.toml")
    assert done.code == 0, done.err
    assert effect(shopkpi, "order_items/1.csv")[2] == 2
    put("shop/orders/1.csv", ORDERS + "1,7,,2025-03-01\n2,7,,2025-03-04\n")
    shopkpi("run", "shop")
    assert effect(shopkpi, "order_items/1.csv")[2] == 0
    assert effect(shopkpi, "orders/1.csv")[3:] == (2, "2025-03-01", "2025-03-04")


def test_receipt_says_why_an_upload_does_not_count(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop")
    assert shopkpi("retract", "orders/1.csv").code == 0
    (receipt,) = shopkpi("ledger", "orders/1.csv", "--format", "json").json
    assert (receipt["fate"], receipt["days"]) == ("retracted", 0)
    assert effect(shopkpi, "order_items/1.csv")[2] == 5
    file = Path("shop/order_items/1.csv")
    later(file, 10)
    shopkpi("run", "shop")
    fates = [one["fate"] for one in shopkpi("ledger", "order_items/1.csv", "--format", "json").json]
    assert fates == ["counts", "same bytes as the upload before it"]


def test_rejects_are_those_of_the_newest_version(shopkpi: Shopkpi) -> None:
    good = "".join(f"{key},7,,2025-03-01\n" for key in range(100, 130))
    file = put("shop/orders/mon.csv", ORDERS + good + "1,,,2025-03-01\n")
    shopkpi("run", "shop")
    file.write_text(ORDERS + good + "2,7,,soon\n")
    later(file, 10)
    shopkpi("run", "shop")
    (newest,) = shopkpi("rejects", "mon.csv", "--format", "json").json
    assert "created_at" in newest["reasons"][0]
    assert list(newest) == ["file", "row", "byte_offset", "reasons", "raw"]
    every = shopkpi("rejects", "mon.csv", "--all-versions", "--format", "json").json
    assert [one["reasons"][0].split(":")[1] for one in every] == [" user_id", " created_at"]
    assert len({one["source"] for one in every}) == 2
    assert every[0]["uploaded_at"] < every[1]["uploaded_at"]


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("order_items/1.csv", ["order_items/1.csv"]),
        ("items/1", ["order_items/1.csv"]),
        ("./orders/1.csv", ["orders/1.csv"]),
        ("orders/*", ["orders/1.csv", "orders/Monday.csv"]),
        ("*.csv", 4),
        ("1.csv", 3),
        ("mon", ["orders/Monday.csv"]),
        ("MONDAY", ["orders/Monday.csv"]),
        ("?.csv", 3),
    ],
)
def test_files_are_found_by_part_and_pattern(
    shopkpi: Shopkpi, name: str, files: list[str] | int
) -> None:
    put_shop()
    put("shop/orders/Monday.csv", ORDERS + "9,7,,2025-03-01\n")
    shopkpi("run", "shop")
    found = shopkpi("ledger", name, "--at-first", "--format", "json").json
    urls = sorted("/".join(one["url"].split("/")[-2:]) for one in found)
    assert len(urls) == files if isinstance(files, int) else urls == files


def test_unknown_name_says_where_names_are(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop")
    for command in ("ledger", "rejects"):
        done = shopkpi(command, "tuesday*", "--format", "json")
        assert (done.code, "`shopkpi ledger` lists them" in done.err) == (2, True)
