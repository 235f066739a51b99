"""`--fail-on` and `--quiet`: what a scheduler sees of a run."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.commands import shopkpi

ORDERS = "order_id,user_id,status,created_at\n"
ITEMS = "id,order_id,product_id,status,sale_price\n"


def put(folder: Path, name: str, text: str) -> None:
    path = folder / "shop" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def put_good(folder: Path, name: str = "orders/good.csv", key: int = 1) -> None:
    put(folder, name, f"{ORDERS}{key},7,x,2025-03-01T00:00:00\n")


def put_bad(folder: Path) -> None:
    put(folder, "orders/bad.csv", "nothing,known\n1,2\n")


@pytest.mark.parametrize("output", ["json", "table"])
def test_run_whose_files_were_all_refused_needs_a_person(tmp_path: Path, output: str) -> None:
    put_bad(tmp_path)
    done = shopkpi(tmp_path, "run", "shop", "--format", output)
    assert done.code == 4
    assert "the only file was refused: orders/bad.csv" in done.err
    put_good(tmp_path)
    assert shopkpi(tmp_path, "run", "shop").code == 0


def test_validate_ends_well_where_its_file_was_refused(tmp_path: Path) -> None:
    put_bad(tmp_path)
    assert shopkpi(tmp_path, "validate", "shop/orders/bad.csv").code == 0


def test_refused_counts_where_the_file_is_new(tmp_path: Path) -> None:
    put_good(tmp_path)
    put_bad(tmp_path)
    first = shopkpi(tmp_path, "run", "shop", "--fail-on", "refused")
    assert (first.code, "1 file was refused: orders/bad.csv" in first.err) == (4, True)
    assert json.loads(first.err)["error"] == "AttentionNeeded"
    assert shopkpi(tmp_path, "run", "shop", "--fail-on", "refused").code == 0


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ("rejects", 4),
        ("rejects>0.01", 4),
        ("rejects>4%", 4),
        ("rejects>5%", 0),
        ("waiting", 0),
        ("refused,rejects>0.02", 4),
        ("refused,rejects>0.5", 0),
    ],
)
def test_rejects_count_above_their_rate(tmp_path: Path, condition: str, code: int) -> None:
    rows = [f"{key},7,x,2025-03-01T00:00:00\n" for key in range(19)]
    put(tmp_path, "orders/1.csv", ORDERS + "".join(rows) + "99,,x,2025-03-01T00:00:00\n")
    assert shopkpi(tmp_path, "run", "shop", "--fail-on", condition).code == code


def test_waiting_counts_until_the_order_is_there(tmp_path: Path) -> None:
    put_good(tmp_path)
    put(tmp_path, "order_items/1.csv", ITEMS + "1,2,1,x,5.00\n")
    for _ in range(2):
        done = shopkpi(tmp_path, "run", "shop", "--fail-on", "waiting")
        assert (done.code, "1 item waits for its order" in done.err) == (4, True)
    put_good(tmp_path, "orders/late.csv", 2)
    assert shopkpi(tmp_path, "run", "shop", "--fail-on", "waiting").code == 0


def test_rollback_counts_where_newer_rows_are_replaced(tmp_path: Path) -> None:
    def put_at(name: str, text: str, seconds: int) -> None:
        put(tmp_path, name, ORDERS + text)
        os.utime(tmp_path / "shop" / name, (1_700_000_000 + seconds,) * 2)

    put_at("orders/mon.csv", "1,7,x,2025-03-01T00:00:00\n", 0)
    put_at("orders/tue.csv", "1,7,returned,2025-03-01T00:00:00\n", 10)
    assert shopkpi(tmp_path, "run", "shop", "--fail-on", "rollback").code == 0
    put_at("orders/mon.csv", "1,7,x,2025-03-01T00:00:00\n2,7,x,2025-03-01T00:00:00\n", 20)
    done = shopkpi(tmp_path, "run", "shop", "--fail-on", "rollback", "--format", "table")
    assert (done.code, "1 row replaced newer ones of other files: orders/mon.csv" in done.err) == (
        4,
        True,
    )
    assert "1 row of orders/mon.csv replaced newer ones of orders/tue.csv" in done.out
    put_at("orders/tue.csv", "1,7,returned,2025-03-01T00:00:00\n", 30)
    quiet = shopkpi(tmp_path, "run", "shop", "--quiet", "--format", "table").out
    assert quiet.startswith("same ")
    assert quiet.count("\n") == 1


@pytest.mark.parametrize("text", ["refusd", "rejects>", "rejects>101%", "waiting>1", "rejects>2"])
def test_unknown_condition_is_wrong_use(tmp_path: Path, text: str) -> None:
    put_good(tmp_path)
    done = shopkpi(tmp_path, "run", "shop", "--fail-on", text)
    assert (done.code, text in done.err) == (2, True)


def test_a_wrong_condition_names_where_it_is_from(tmp_path: Path) -> None:
    put_good(tmp_path)
    said = [shopkpi(tmp_path, "run", "shop", "--fail-on", "refusd").err]
    (tmp_path / "shopkpi.toml").write_text('fail_on = "refusd"')
    said.append(shopkpi(tmp_path, "run", "shop").err)
    said.append(shopkpi(tmp_path, "run", "shop", SHOPKPI_FAIL_ON="refusd").err)
    places = ("'--fail-on'", "'fail_on in shopkpi.toml'", "'SHOPKPI_FAIL_ON'")
    for place, text in zip(places, said, strict=True):
        assert f"Invalid value for {place}: " in text


@pytest.mark.parametrize("output", ["json", "table"])
def test_quiet_run_prints_new_files_alone(tmp_path: Path, output: str) -> None:
    put_good(tmp_path)
    put_bad(tmp_path)

    def quietly() -> list[str]:
        done = shopkpi(tmp_path, "run", "shop", "--quiet", "--format", output)
        assert (done.code, done.err) == (0, "")
        return done.out.splitlines()

    assert len(quietly()) == 2
    assert quietly() == []
    put_good(tmp_path, "orders/next.csv", 5)
    (line,) = quietly()
    assert "orders/next.csv" in line


def test_quiet_run_says_that_others_files_were_published(tmp_path: Path) -> None:
    put_good(tmp_path)
    shopkpi(tmp_path, "validate", "shop/orders/good.csv")
    done = shopkpi(tmp_path, "run", "shop", "--quiet", "--format", "table")
    assert done.out == "published 1 day (2025-03-01) as of 2: 0 category_kpis, 1 order_kpis rows\n"


def test_run_shows_only_days_that_changed(tmp_path: Path) -> None:
    for key in range(1, 4):
        put(tmp_path, f"orders/{key}.csv", f"{ORDERS}{key},7,x,2025-03-0{key}T00:00:00\n")
    shopkpi(tmp_path, "run", "shop")
    put(tmp_path, "orders/4.csv", f"{ORDERS}4,7,x,2025-03-02T00:00:00\n")
    out = shopkpi(tmp_path, "run", "shop", "--format", "table").out
    assert out.splitlines()[:2] == [
        "files: 1 accepted, 3 known already",
        "changed: 1 day (2025-03-02)",
    ]
    assert "2025-03-01" not in out
    assert "orders/3.csv" not in out
    idle = shopkpi(tmp_path, "run", "shop", "--format", "table").out
    assert idle.startswith("files: 4 known already\nchanged: nothing")
    assert "2025" not in idle
