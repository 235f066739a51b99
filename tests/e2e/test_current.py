"""The orders behind a number, from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.files import ITEMS, ORDERS, put
from tests.support.commands import Shopkpi

DAY = "2025-03-01"


def put_shop(shopkpi: Shopkpi) -> None:
    """Order 1 in Toys and order 2 in Books on the day; order 3 has moved to another."""
    put("shop/products/a.csv", "id,category\n5,Toys\n6,Books\n")
    orders = [f"{number},7,shipped,{DAY}T1{number}:00:00\n" for number in (1, 2, 3)]
    put("shop/orders/a.csv", ORDERS + "".join(orders))
    put("shop/order_items/a.csv", ITEMS + "1,1,5,,10.00\n2,2,6,,30.00\n3,3,5,,7.00\n")
    assert shopkpi("run", "shop").code == 0
    put(
        "shop/orders/b.csv", ORDERS + "2,7,returned,2025-03-01T12:00:00\n3,7,,2025-03-02T10:00:00\n"
    )
    assert shopkpi("run", "shop").code == 0


def current(shopkpi: Shopkpi, *options: str) -> list[tuple[str, str]]:
    rows = shopkpi("current", "orders", "--day", DAY, *options, "--format", "json").json
    return [(str(row["order_id"]), row["status"]) for row in rows]


def test_the_latest_version_of_each_order_of_the_day_is_listed(shopkpi: Shopkpi) -> None:
    put_shop(shopkpi)
    assert sorted(current(shopkpi)) == [("1", "shipped"), ("2", "returned")]
    assert current(shopkpi, "--category", "Toys") == [("1", "shipped")]
    assert current(shopkpi, "--category", "Books") == [("2", "returned")]
    assert current(shopkpi, "--category", "Games") == []
    shopkpi("retract", "orders/b.csv")
    assert {one[0] for one in current(shopkpi)} == {"1", "2", "3"}


def test_a_row_has_all_columns_of_its_file(shopkpi: Shopkpi) -> None:
    put_shop(shopkpi)
    shown = shopkpi("current", "orders", "--day", DAY, "--format", "csv").out.splitlines()
    assert shown[0].startswith("order_id,user_id,")
    assert "created_at" in shown[0]
    assert "_day" not in shown[0]
    assert len(shown) == 3


@pytest.mark.parametrize("options", [(), ("--category", "Toys")])
def test_language_2_lists_orders_and_refuses_categories(
    shopkpi: Shopkpi, options: tuple[str, ...]
) -> None:
    put_shop(shopkpi)
    Path("two.toml").write_text(shopkpi("contract", "show", "--language", "2").out)
    assert shopkpi("contract", "adopt", "two.toml").code == 0
    done = shopkpi("current", "orders", "--day", DAY, *options, "--format", "json")
    if options:
        assert done.code == 2
        assert "explain" in done.err
    else:
        assert {str(row["order_id"]) for row in done.json} == {"1", "2"}
