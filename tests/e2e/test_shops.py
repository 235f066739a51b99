"""Two shops in one workspace: every command of one leaves the other as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Done, shopkpi

ORDERS = "order_id,user_id,status,created_at"
ITEMS = "id,order_id,product_id,status,sale_price"
QUERIES = ("orders", "category")


def put_shop(home: Path, shop: str, *, price: str, day: str) -> None:
    """The same ids in each shop, with a reject."""
    # So many right rows that the file is not refused for its wrong one.
    free = "".join(f"{number},1,1,delivered,0\n" for number in range(10, 60))
    orders = "".join(f"{number},1,delivered,{day}T10:00:00\n" for number in (1, 2))
    items = f"1,1,1,delivered,{price}\n2,1,1,?,much\n3,2,1,delivered,1\n{free}"
    files = {"orders/1.csv": f"{ORDERS}\n{orders}", "order_items/1.csv": f"{ITEMS}\n{items}"}
    for name, text in files.items():
        path = home / shop / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def seen(home: Path, *options: str) -> dict[str, Any]:
    """What commands print of a shop."""

    def printed(*arguments: str) -> Any:
        return shopkpi(home, *arguments, *options, "--format", "json").json

    return {
        **{table: printed("query", table) for table in QUERIES},
        "ledger": [
            {name: one[name] for name in ("sequence", "url", "verdict", "rows_rejected")}
            for one in printed("ledger")
        ],
        "rejects": printed("rejects", "order_items/1.csv"),
        "audit": shopkpi(home, "audit", *options).code,
        "contract": shopkpi(home, "contract", "show", *options).out,
    }


BERLIN = ("--shop", "berlin")
COMMANDS: dict[str, tuple[str, ...]] = {
    "run": ("run", "b"),
    "transform": ("transform", "--all", "--kpis", "order,category,product"),
    "retract": ("retract", "orders/1.csv", "--reason", "test"),
    "archive": ("archive", "b/orders/1.csv", "--to", "moved"),
    "erase-customer": ("erase-customer", "1", "--delete"),
    "adopt": ("contract", "adopt", "string-ids"),
}


def act(home: Path, name: str, *options: str) -> Done:
    return shopkpi(home, *COMMANDS[name], *options)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_of_one_shop_leaves_the_other(tmp_path: Path, name: str) -> None:
    put_shop(tmp_path, "a", price="10.00", day="2025-03-01")
    put_shop(tmp_path, "b", price="20.00", day="2025-03-02")
    assert shopkpi(tmp_path, "run", "a").code == 0
    first = seen(tmp_path)
    assert (first["audit"], first["orders"][0]["total_revenue"]) == (0, "11.00")
    assert shopkpi(tmp_path, "run", "b", *BERLIN).code == 0
    second = seen(tmp_path, *BERLIN)
    assert (second["audit"], second["orders"][0]["total_revenue"]) == (0, "21.00")
    assert [row["order_date"] for row in second["orders"]] == ["2025-03-02"]
    assert seen(tmp_path) == first
    done = act(tmp_path, name, *BERLIN)
    assert done.code == 0, done.err
    assert seen(tmp_path) == first
    # And the other way round: the default shop's clean zone is beside that of the others.
    second = seen(tmp_path, *BERLIN) if name != "archive" else {}
    if name == "archive":
        return
    if name == "run":
        put_shop(tmp_path, "b", price="30.00", day="2025-03-02")
    done = act(tmp_path, name)
    assert done.code == 0, done.err
    assert seen(tmp_path, *BERLIN) == second


def test_each_shop_has_a_contract_of_its_own(tmp_path: Path) -> None:
    put_shop(tmp_path, "a", price="10.00", day="2025-03-01")
    put_shop(tmp_path, "b", price="20.00", day="2025-03-02")
    assert shopkpi(tmp_path, "run", "a", "--contract", "default").code == 0
    done = shopkpi(tmp_path, "run", "b", *BERLIN, "--contract", "string-ids")
    assert done.code == 0, done.err
    assert shopkpi(tmp_path, "run", "b", *BERLIN, "--contract", "default").code == 2


@pytest.mark.parametrize("name", ["Berlin", "", "a/b", "-a", "a#b", "x" * 41])
def test_a_wrong_name_of_a_shop_is_refused(tmp_path: Path, name: str) -> None:
    done = shopkpi(tmp_path, "query", "orders", f"--shop={name}")
    assert (done.code, "--shop" in done.err) == (2, True), done.err


def test_the_configuration_names_the_shop(tmp_path: Path) -> None:
    put_shop(tmp_path, "a", price="10.00", day="2025-03-01")
    (tmp_path / "shopkpi.toml").write_text('shop = "berlin"\ninput = "a"\n', "utf-8")
    assert shopkpi(tmp_path, "run").code == 0
    (tmp_path / "shopkpi.toml").unlink()
    assert shopkpi(tmp_path, "query", "orders", *BERLIN, "--format", "json").json
    assert shopkpi(tmp_path, "query", "orders").code == 2
