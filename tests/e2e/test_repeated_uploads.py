"""Files that come again, from the command line: touched, corrected, replaced, retracted."""

from __future__ import annotations

import os
from pathlib import Path

from tests.e2e.files import ITEMS, ORDERS, put
from tests.support.commands import Shopkpi

MONDAY = "2026-11-23T10:00:00"
FIRST_S = 1_700_000_000


def put_at(second: int, path: str, text: str) -> None:
    put(path, text)
    touch_at(second, path)


def touch_at(second: int, path: str) -> None:
    os.utime(path, (FIRST_S + second, FIRST_S + second))


def orders(shopkpi: Shopkpi) -> list[str]:
    return shopkpi("query", "orders", "--format", "csv").kpis


def put_corrected_shop(shopkpi: Shopkpi) -> None:
    put_at(0, "s/orders/mon.csv", ORDERS + f"1,7,shipped,{MONDAY}\n2,8,shipped,{MONDAY}\n")
    shopkpi("run", "s", "--settle", "0")
    put_at(60, "s/orders/tue.csv", ORDERS + f"1,7,returned,{MONDAY}\n")
    shopkpi("run", "s", "--settle", "0")


def test_a_touched_file_undoes_no_correction(shopkpi: Shopkpi) -> None:
    put_corrected_shop(shopkpi)
    before = orders(shopkpi)
    touch_at(120, "s/orders/mon.csv")
    done = shopkpi("run", "s", "--settle", "0", "--format", "json", "--fail-on", "rollback")
    events = [event["event"] for event in done.events]
    assert (done.code, events.count("source.same")) == (0, 1)
    (published,) = [event for event in done.events if event["event"] == "kpis.published"]
    assert published["days"] == 0
    assert orders(shopkpi) == before == ["2026-11-23,2,,0,0.5000,2"]
    assert shopkpi("audit").code == 0


def test_rows_that_go_back_end_with_exit_code_4(shopkpi: Shopkpi) -> None:
    put_corrected_shop(shopkpi)
    again = ORDERS + f"1,7,shipped,{MONDAY}\n2,8,returned,{MONDAY}\n3,9,shipped,{MONDAY}\n"
    put_at(120, "s/orders/mon.csv", again)
    done = shopkpi("run", "s", "--settle", "0", "--format", "json", "--fail-on", "rollback")
    (event,) = [one for one in done.events if one["event"] == "source.rolled_back"]
    assert (done.code, event["rows"]) == (4, 1)
    assert [url.rsplit("/", 1)[1] for url in event["urls"]] == ["tue.csv"]


def test_a_wrong_row_disappears_where_files_are_replaced(shopkpi: Shopkpi) -> None:
    text = shopkpi("contract", "show").out
    Path("c.toml").write_text('replaces = "file"\n' + text)
    wrong = ORDERS + f"1,7,shipped,{MONDAY}\n999,1,shipped,{MONDAY}\n"
    put_at(0, "s/orders/mon.csv", wrong)
    put_at(0, "s/order_items/mon.csv", ITEMS + "11,1,1,,10.00\n12,999,1,,100000.00\n")
    shopkpi("run", "s", "--settle", "0", "--contract", "c.toml")
    assert orders(shopkpi) == ["2026-11-23,2,100010.00,2,0.0000,2"]
    put_at(60, "s/orders/mon.csv", ORDERS + f"1,7,shipped,{MONDAY}\n")
    put_at(60, "s/order_items/mon.csv", ITEMS + "11,1,1,,10.00\n")
    assert shopkpi("run", "s", "--settle", "0").code == 0
    assert orders(shopkpi) == ["2026-11-23,1,10.00,1,0.0000,1"]
    assert shopkpi("audit", "--recount", "3").code == 0


def test_adopting_the_word_later_computes_the_days_again(shopkpi: Shopkpi) -> None:
    put_at(0, "s/orders/mon.csv", ORDERS + f"1,7,shipped,{MONDAY}\n999,1,shipped,{MONDAY}\n")
    shopkpi("run", "s", "--settle", "0")
    put_at(60, "s/orders/mon.csv", ORDERS + f"1,7,shipped,{MONDAY}\n")
    shopkpi("run", "s", "--settle", "0")
    assert orders(shopkpi) == ["2026-11-23,2,,0,0.0000,2"]
    text = shopkpi("contract", "show").out
    Path("c.toml").write_text('replaces = "file"\n' + text)
    Path("s/orders/mon.csv").unlink()  # nothing is validated again
    assert shopkpi("contract", "adopt", "c.toml").code == 0
    assert orders(shopkpi) == ["2026-11-23,1,,0,0.0000,1"]
    assert shopkpi("audit", "--recount", "3").code == 0


def test_a_touch_brings_no_retracted_file_back(shopkpi: Shopkpi) -> None:
    put_corrected_shop(shopkpi)
    shopkpi("retract", "s/orders/tue.csv")
    retracted = orders(shopkpi)
    touch_at(120, "s/orders/tue.csv")
    shopkpi("run", "s", "--settle", "0")
    assert orders(shopkpi) == retracted == ["2026-11-23,2,,0,0.0000,2"]
    assert shopkpi("restore", "s/orders/tue.csv").code == 0, "equal uploads are no two versions"
    assert orders(shopkpi) == ["2026-11-23,2,,0,0.5000,2"]
    assert shopkpi("audit", "--recount", "3").code == 0
