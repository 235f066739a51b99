"""The contract in the ledger: adopted by the first accepted file, replaced only when asked."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import orjson
import pytest

from kpi.aggregation.tables import ORDER_KPIS
from tests.e2e.files import ITEMS, ORDERS, put
from tests.support.commands import Shopkpi

BERLIN = 'business_time_zone = "Europe/Berlin"'


def put_contract(shopkpi: Shopkpi, name: str, old: str, new: str) -> str:
    text = shopkpi("contract", "show").out
    assert old in text
    Path(name).write_text(text.replace(old, new))
    return name


def put_shop() -> None:
    put("shop/orders/a.csv", ORDERS + "1,7,shipped,2025-03-01T23:30:00\n")
    put("shop/order_items/a.csv", ITEMS + "1,1,5,,10.00\n")


def days(shopkpi: Shopkpi) -> list[str]:
    return [row["order_date"] for row in shopkpi("query", "orders", "--format", "json").json]


def entries(shopkpi: Shopkpi) -> int:
    return len(shopkpi("ledger", "--format", "json").json)


def test_later_commands_take_the_adopted_contract(shopkpi: Shopkpi) -> None:
    put_shop()
    berlin = put_contract(shopkpi, "berlin.toml", 'business_time_zone = "UTC"', BERLIN)
    shopkpi("run", "shop", "--contract", berlin)
    assert days(shopkpi) == ["2025-03-02"]
    put("shop/orders/b.csv", ORDERS + "2,7,shipped,2025-03-05T23:30:00\n")
    assert shopkpi("run", "shop").code == 0
    assert days(shopkpi) == ["2025-03-02", "2025-03-06"]
    assert shopkpi("audit").code == 0


@pytest.mark.parametrize("command", ["run", "validate"])
def test_another_contract_is_refused_before_a_byte_is_read(shopkpi: Shopkpi, command: str) -> None:
    put_shop()
    shopkpi("run", "shop")
    known = entries(shopkpi)
    put("shop/orders/b.csv", ORDERS + "2,7,shipped,2025-03-05T23:30:00\n")
    done = shopkpi(command, "shop/orders/b.csv", "--contract", "string-ids", "--format", "json")
    assert done.code == 2
    assert "orders.columns.order_id.type: 'integer' -> 'string'" in done.err
    assert "shopkpi contract adopt string-ids" in done.err
    assert entries(shopkpi) == known
    assert shopkpi("run", "shop", "--format", "json").code == 0
    assert entries(shopkpi) == known + 1


def test_adoption_recomputes_every_day(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop")
    assert days(shopkpi) == ["2025-03-01"]
    berlin = put_contract(shopkpi, "berlin.toml", 'business_time_zone = "UTC"', BERLIN)
    shown = shopkpi("contract", "adopt", berlin, "--dry-run", "--format", "json")
    assert {row["order_date"] for row in shown.json} == {"2025-03-01", "2025-03-02"}
    assert "business_time_zone: 'UTC' -> 'Europe/Berlin'" in shown.err
    assert days(shopkpi) == ["2025-03-01"]

    assert shopkpi("contract", "adopt", berlin, "--format", "json").code == 0
    assert days(shopkpi) == ["2025-03-02"]
    assert shopkpi("audit").code == 0


def test_files_are_validated_again_for_other_clean_rows(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop", "--kpis", "order,category,product")
    known = entries(shopkpi)
    shown = shopkpi("contract", "adopt", "string-ids", "--dry-run", "--format", "json")
    assert shown.code == 0, shown.err
    assert "orders.columns.order_id.type: 'integer' -> 'string'" in shown.err
    assert "to validate again: 2 raw files of" in shown.err
    assert shown.json == []  # no event of a commit, since there was none
    assert entries(shopkpi) == known

    done = shopkpi("contract", "adopt", "string-ids", "--format", "json")
    assert done.code == 0, done.err
    assert [event["event"] for event in done.events].count("contract.adopted") == 1
    put("shop/orders/b.csv", ORDERS + "A-2,B-7,shipped,2025-03-05T10:00:00\n")
    assert shopkpi("run", "shop", "--format", "json").code == 0
    assert days(shopkpi) == ["2025-03-01", "2025-03-05"]
    revenue = shopkpi("query", "orders", "--format", "json").json[0]["total_revenue"]
    assert str(revenue) == "10.00"
    assert shopkpi("audit").code == 0
    shown = shopkpi("run", "shop", "--format", "json")
    assert {event["event"] for event in shown.events} >= {"source.known"}
    assert not [event for event in shown.events if event["event"] == "source.committed"]


@pytest.mark.parametrize("command", [("query", "orders"), ("ledger",), ("ledger", "a.csv")])
def test_a_question_with_another_contract_is_refused(
    shopkpi: Shopkpi, command: tuple[str, ...]
) -> None:
    put_shop()
    shopkpi("run", "shop")
    done = shopkpi(*command, "--contract", "string-ids")
    assert done.code == 2
    assert "shopkpi contract adopt string-ids" in done.err
    assert shopkpi(*command, "--contract", "default").code == 0


def test_refused_files_are_validated_by_the_adopted_contract(shopkpi: Shopkpi) -> None:
    put_shop()
    put("shop/orders/texts.csv", ORDERS + "A-1,7,shipped,2025-03-03T10:00:00\n")
    put("shop/orders/bad.csv", "a\n1\n")
    shopkpi("run", "shop")
    for name in ("texts", "bad"):
        assert shopkpi("archive", f"shop/orders/{name}.csv", "--to", "moved").code == 0
    adopt = ("contract", "adopt", "string-ids", "--raw", "moved", "--format", "json")
    shown = shopkpi(*adopt, "--dry-run")
    assert {row["order_date"] for row in shown.json} == {"2025-03-03"}
    assert "2 refused files are validated again; 1 would be accepted" in shown.err
    assert days(shopkpi) == ["2025-03-01"]
    assert shopkpi(*adopt).code == 0
    assert days(shopkpi) == ["2025-03-01", "2025-03-03"]
    assert shopkpi("audit").code == 0
    assert not [one for one in shopkpi(*adopt).events if one["event"] == "source.committed"]


def test_adoption_goes_back_without_the_raw_files(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop")
    assert shopkpi("contract", "adopt", "string-ids").code == 0
    shutil.rmtree("shop")
    done = shopkpi("contract", "adopt", "default", "--format", "json")
    assert done.code == 0, done.err
    assert days(shopkpi) == ["2025-03-01"]
    assert shopkpi("audit").code == 0


def test_adoption_stops_where_a_raw_file_is_gone(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop")
    known = shopkpi("ledger", "--format", "json").json
    Path("shop/orders/a.csv").rename("elsewhere.csv")
    for more in ((), ("--dry-run",)):
        done = shopkpi("contract", "adopt", "string-ids", *more)
        assert done.code == 2
        assert "1 raw file is gone or changed" in done.err
        assert "shop/orders/a.csv" in done.err
    assert shopkpi("ledger", "--format", "json").json == known
    put("shop/orders/a.csv", ORDERS + "1,8,shipped,2025-03-01T23:30:00\n")
    assert shopkpi("contract", "adopt", "string-ids").code == 2
    assert shopkpi("retract", "orders/a.csv").code == 0
    assert shopkpi("contract", "adopt", "string-ids").code == 0
    assert days(shopkpi) == []
    done = shopkpi("restore", "orders/a.csv")
    assert done.code == 2
    assert "no clean rows of the contract in force" in done.err
    # Once its raw file is there again, the same contract takes it.
    Path("elsewhere.csv").rename("shop/orders/a.csv")
    assert shopkpi("contract", "adopt", "string-ids").code == 0
    assert shopkpi("restore", "orders/a.csv").code == 0
    assert days(shopkpi) == ["2025-03-01"]
    assert shopkpi("audit").code == 0


def test_raw_files_that_the_contract_replaces_may_be_gone(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop")
    path = put("shop/orders/a.csv", ORDERS + "1,8,shipped,2025-03-04T10:00:00\n")
    os.utime(path, (path.stat().st_mtime + 10,) * 2)
    shopkpi("run", "shop")
    text = shopkpi("contract", "show", "string-ids").out
    assert "[orders]\n" in text
    put("c.toml", text.replace("[orders]\n", '[orders]\nreplaces = "file"\n'))
    assert shopkpi("contract", "adopt", "string-ids").code == 2
    done = shopkpi("contract", "adopt", "c.toml", "--format", "json")
    assert done.code == 0, done.err
    assert days(shopkpi) == ["2025-03-04"]
    assert shopkpi("audit").code == 0


def test_archived_raw_files_are_found(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop")
    for path in ("shop/orders/a.csv", "shop/order_items/a.csv"):
        assert shopkpi("archive", path, "--to", "moved").code == 0
    assert shopkpi("contract", "adopt", "string-ids").code == 2
    done = shopkpi("contract", "adopt", "string-ids", "--raw", "moved")
    assert done.code == 0, done.err
    assert days(shopkpi) == ["2025-03-01"]
    assert shopkpi("audit").code == 0


def test_a_touched_or_moved_raw_file_serves(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop")
    os.utime("shop/orders/a.csv", (1, 1))
    Path("shop/order_items").rename("order_items")
    done = shopkpi("contract", "adopt", "string-ids", "--raw", ".")
    assert done.code == 0, done.err
    assert shopkpi("audit").code == 0


def test_adoption_stops_where_the_contract_refuses_a_file(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop")
    semicolon = put_contract(shopkpi, "semicolon.toml", 'delimiter = ","', 'delimiter = ";"')
    done = shopkpi("contract", "adopt", semicolon)
    assert done.code == 2
    assert "it refuses 2 accepted files" in done.err
    assert [entry["verdict"] for entry in shopkpi("ledger", "--format", "json").json] == [
        *("accepted", "accepted")
    ]
    assert shopkpi("retract", "orders/a.csv", "--dry-run").code == 0
    assert shopkpi("run", "shop").code == 0
    assert days(shopkpi) == ["2025-03-01"]
    assert shopkpi("audit").code == 0


def test_language_2_is_adopted_where_it_says_the_same(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop")
    before = shopkpi("query", "orders", "--format", "json").json
    Path("two.toml").write_text(shopkpi("contract", "show", "--language", "2").out)
    done = shopkpi("contract", "adopt", "two.toml", "--format", "json")
    assert done.code == 0, done.err
    after = shopkpi("query", "orders", "--format", "json").json
    kpis = [{name: row[name] for name in ORDER_KPIS.attributes} for row in after]
    assert kpis == [{name: row[name] for name in ORDER_KPIS.attributes} for row in before]
    assert shopkpi("audit").code == 0
    assert shopkpi("contract", "adopt", "default").code == 0
    assert shopkpi("audit").code == 0


def test_a_file_without_a_place_stops_an_adoption_until_retracted(shopkpi: Shopkpi) -> None:
    put_shop()
    put("shop/people/a.csv", "who\n7\n")
    text = shopkpi("contract", "show", "--language", "2").out
    people = '[references.people]\nkey = "who"\n[[files]]\nmatch = "people/*"\nfeeds = ["people"]\n'
    Path("two.toml").write_text(text + people)
    assert shopkpi("run", "shop", "--contract", "two.toml").code == 0
    refused = shopkpi("contract", "adopt", "default")
    assert refused.code == 2
    assert "people/a.csv" in refused.err
    assert "retract this upload" in refused.err
    assert shopkpi("retract", "people/a.csv").code == 0
    for _ in range(2):  # the second one has nothing to do
        assert shopkpi("contract", "adopt", "default").code == 0
    assert days(shopkpi) == ["2025-03-01"]
    assert shopkpi("audit").code == 0


def test_nothing_is_adopted_before_a_file_is_accepted(shopkpi: Shopkpi) -> None:
    put("shop/orders/a.csv", "order_id;user_id;created_at\n1;7;2025-03-01T10:00:00\n")
    assert shopkpi("run", "shop").code == 4
    assert shopkpi("contract", "adopt", "olist").code == 2
    semicolon = put_contract(shopkpi, "semicolon.toml", 'delimiter = ","', 'delimiter = ";"')
    done = shopkpi("run", "shop", "--contract", semicolon, "--format", "json")
    assert "source.committed" in {event["event"] for event in done.events}
    assert days(shopkpi) == ["2025-03-01"]
    assert "source.known" in {event["event"] for event in shopkpi("run", "shop").events}


def test_a_table_once_switched_on_stays_on(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop", "--kpis", "order,category,product")
    put("shop/order_items/b.csv", ITEMS + "2,1,6,,5.00\n")
    shopkpi("run", "shop")
    products = shopkpi("query", "product", "--format", "json").json
    assert [row["product_id"] for row in products] == [5, 6] or [
        row["product_id"] for row in products
    ] == ["5", "6"]


def test_a_table_added_later_is_filled(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop")
    shopkpi("run", "shop", "--kpis", "product")
    assert len(shopkpi("query", "product", "--format", "json").json) == 1
    put("shop/order_items/b.csv", ITEMS + "2,1,6,,5.00\n")
    shopkpi("run", "shop")
    assert len(shopkpi("query", "product", "--format", "json").json) == 2


def test_a_proposed_contract_changes_nothing(shopkpi: Shopkpi) -> None:
    put_shop()
    shown = shopkpi("run", "shop", "--format", "json", SHOPKPI_PROPOSED_CONTRACT="default")
    assert "contract.proposed" not in {event["event"] for event in shown.events}
    put("shop/orders/b.csv", ORDERS + "2,7,shipped,2025-03-05T10:00:00\n")
    shown = shopkpi("run", "shop", "--format", "json", SHOPKPI_PROPOSED_CONTRACT="string-ids")
    assert shown.code == 0
    (proposed,) = [event for event in shown.events if event["event"] == "contract.proposed"]
    assert "orders.columns.order_id.type: 'integer' -> 'string'" in proposed["differences"]
    assert days(shopkpi) == ["2025-03-01", "2025-03-05"]
    assert shopkpi("audit").code == 0


def test_a_proposal_says_which_days_would_change(shopkpi: Shopkpi) -> None:
    put_shop()
    berlin = put_contract(shopkpi, "berlin.toml", 'business_time_zone = "UTC"', BERLIN)
    shopkpi("run", "shop")
    done = shopkpi("contract", "propose", berlin, "--output", "proposal.json")
    assert done.code == 0, done.err
    (event,) = done.events
    assert event["event"] == "contract.proposed"
    written = orjson.loads(Path("proposal.json").read_bytes())
    assert written["differences"] == ["business_time_zone: 'UTC' -> 'Europe/Berlin'"]
    assert (written["days"], written["first_day"], written["last_day"]) == (
        *(2, "2025-03-01", "2025-03-02"),
    )
    shopkpi("contract", "propose", "default", "--output", "same.json")
    assert orjson.loads(Path("same.json").read_bytes())["differences"] == []
    shutil.rmtree("shop")
    shopkpi("contract", "propose", "string-ids", "--output", "gone.json")
    assert "2 raw files are gone" in orjson.loads(Path("gone.json").read_bytes())["problem"]
    assert days(shopkpi) == ["2025-03-01"]
