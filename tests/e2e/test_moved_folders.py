"""A folder that was moved or restored as a whole is recognised by the names of its files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.e2e.files import ORDERS, put
from tests.support.commands import Done, Shopkpi

PRODUCTS = "id,category\n"
DAY = "2025-03-01T10:00:00"
EARLY, LATE = 1_740_000_000, 1_750_000_000


def row(number: int, status: str) -> str:
    return f"{number},{number},{status},{DAY}\n"


def put_at(name: str, text: str, second: int) -> None:
    put(name, text)
    os.utime(name, (second, second))


def put_shop(folder: str = "shop") -> None:
    """Orders, and a correction whose file comes first by name."""
    put_at(f"{folder}/orders/z.csv", ORDERS + row(1, "shipped") + row(2, "shipped"), EARLY)
    put_at(f"{folder}/orders/a.csv", ORDERS + row(1, "returned"), EARLY + 60)


def rate(shopkpi: Shopkpi) -> str:
    return str(shopkpi("query", "orders", "--format", "json").json[0]["return_rate"])


def kinds(done: Done) -> list[str]:
    words = ("source.same", "source.copy", "source.replaces", "source.rollback")
    return sorted(event["event"] for event in done.events if event["event"] in words)


def published(done: Done) -> int:
    return int(done.events[-1]["days"])


def test_a_restored_folder_takes_no_correction_back(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop")
    shutil.copytree("shop", "restored")
    for at, name in enumerate(("a.csv", "z.csv")):
        os.utime(f"restored/orders/{name}", (LATE + at, LATE + at))
    done = shopkpi("run", "restored", "--format", "json")
    assert (kinds(done), published(done)) == (["source.same"] * 2, 0)
    assert rate(shopkpi) == "0.5000"
    put_at("restored/orders/z.csv", ORDERS + row(1, "lost"), LATE + 60)
    done = shopkpi("run", "restored", "--format", "json")
    assert published(done) == 1
    assert rate(shopkpi) == "0.0000"
    assert shopkpi("audit").code == 0


def test_a_renamed_folder_goes_on_with_its_names(shopkpi: Shopkpi) -> None:
    contract = shopkpi("contract", "show").out
    Path("whole.toml").write_text('replaces = "file"\n' + contract)
    put_shop()
    shopkpi("run", "shop", "--contract", "whole.toml")
    Path("shop").rename("renamed")
    done = shopkpi("run", "renamed", "--format", "json")
    assert (kinds(done), published(done)) == (["source.same"] * 2, 0)
    put_at("renamed/orders/z.csv", ORDERS + row(2, "shipped"), LATE)
    shopkpi("run", "renamed")
    (day,) = shopkpi("query", "orders", "--format", "json").json
    assert (day["total_orders"], day["return_rate"]) == (2, "0.5000")
    assert shopkpi("retract", "orders/a.csv").code == 0  # one name, wherever it was
    assert shopkpi("query", "orders", "--format", "json").json[0]["total_orders"] == 1
    assert shopkpi("audit").code == 0


def test_two_tills_may_sell_the_same(shopkpi: Shopkpi) -> None:
    put_at("till1/orders/mon.csv", ORDERS + row(1, "shipped"), EARLY)
    shopkpi("run", "till1")
    put_at("till2/orders/mon.csv", ORDERS + row(1, "shipped"), LATE)
    assert kinds(shopkpi("run", "till2", "--format", "json")) == ["source.copy"]


def test_folders_that_share_few_files_are_others(shopkpi: Shopkpi) -> None:
    for till, second in (("till1", EARLY), ("till2", LATE)):
        put_at(f"{till}/products/p.csv", PRODUCTS + "1,Toys\n", second)
        for number, name in enumerate(("mon", "tue")):
            text = ORDERS + row(second + number, "shipped")
            put_at(f"{till}/orders/{name}.csv", text, second)
    shopkpi("run", "till1")
    assert kinds(shopkpi("run", "till2", "--format", "json")) == ["source.copy"]


def test_the_only_file_of_a_folder_was_moved_where_it_is_gone(shopkpi: Shopkpi) -> None:
    put_at("shop/orders/mon.csv", ORDERS + row(1, "shipped"), EARLY)
    shopkpi("run", "shop")
    Path("shop").rename("renamed")
    assert kinds(shopkpi("run", "renamed", "--format", "json")) == ["source.same"]
