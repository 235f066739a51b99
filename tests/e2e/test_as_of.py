"""KPIs as of an earlier sequence, and what differs between two, from the command line."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.files import ITEMS, ORDERS, put
from tests.e2e.test_adoption import BERLIN, put_contract
from tests.support.commands import Shopkpi

DAY = "2025-03-01"


def upload(shopkpi: Shopkpi, path: str, text: str, day: int) -> None:
    """Upload a file at noon of a day of April."""
    time = datetime(2025, 4, day, 12, tzinfo=UTC).timestamp()
    os.utime(put(f"shop/{path}", text), (time, time))
    assert shopkpi("run", "shop").code == 0


def put_history(shopkpi: Shopkpi) -> None:
    """Adoption 1, orders 2, items 3, a return 4."""
    orders = f"1,7,shipped,{DAY}T23:30:00\n2,8,shipped,{DAY}T10:00:00\n"
    upload(shopkpi, "orders/a.csv", ORDERS + orders, 1)
    upload(shopkpi, "order_items/a.csv", ITEMS + "1,1,5,,10.00\n2,2,5,,30.00\n", 2)
    upload(shopkpi, "orders/b.csv", ORDERS + f"2,8,returned,{DAY}T10:00:00\n", 3)


def orders_at(shopkpi: Shopkpi, moment: object, *options: str) -> list[Any]:
    done = shopkpi("query", "orders", "--as-of", str(moment), *options, "--format", "json")
    return [(one["order_date"], one["total_revenue"], one["return_rate"]) for one in done.json]


def test_a_sequence_is_what_its_files_make(shopkpi: Shopkpi) -> None:
    put_history(shopkpi)
    assert orders_at(shopkpi, 0) == []
    assert orders_at(shopkpi, 2) == [(DAY, None, "0.0000")]  # no item has come
    assert orders_at(shopkpi, 3) == [(DAY, "40.00", "0.0000")]
    assert orders_at(shopkpi, 4) == [(DAY, "40.00", "0.5000")]
    assert orders_at(shopkpi, 4, "--from", "2025-03-02") == []


def test_a_time_is_the_last_sequence_before_a_later_file(shopkpi: Shopkpi) -> None:
    put_history(shopkpi)
    # The adoption, at sequence 1, has the time of this test.
    assert orders_at(shopkpi, "2025-04-02T13:00:00+00:00") == []
    assert orders_at(shopkpi, "2999-01-01") == [(DAY, "40.00", "0.5000")]


@pytest.mark.parametrize("moment", ["5", "yesterday", "-1"])
def test_what_the_ledger_does_not_have_is_wrong_use(shopkpi: Shopkpi, moment: str) -> None:
    put_history(shopkpi)
    done = shopkpi("query", "orders", "--as-of", moment)
    assert done.code == 2
    assert "--as-of" in done.err


def test_every_value_that_differs_is_in_the_difference(shopkpi: Shopkpi) -> None:
    put_history(shopkpi)
    rows = shopkpi("diff", "3", "4", "--format", "json").json
    assert [(one["table"], one["attribute"], one["before"], one["after"]) for one in rows] == [
        ("category_kpis", "avg_return_rate", "0.0000", "0.5000"),
        ("order_kpis", "return_rate", "0.0000", "0.5000"),
    ]
    assert shopkpi("diff", "4", "4", "--format", "json").json == []
    assert shopkpi("diff", "4", "3").code == 2
    assert shopkpi("diff", "3", "5").code == 2


def test_the_contract_in_force_then_counts(shopkpi: Shopkpi) -> None:
    put_history(shopkpi)
    berlin = put_contract(shopkpi, "berlin.toml", 'business_time_zone = "UTC"', BERLIN)
    assert shopkpi("contract", "adopt", berlin).code == 0
    assert orders_at(shopkpi, 3) == [(DAY, "40.00", "0.0000")]
    assert orders_at(shopkpi, 5) == [(DAY, "30.00", "1.0000"), ("2025-03-02", "10.00", "0.0000")]
    steps = shopkpi("explain", DAY, "--format", "json").events
    assert [one["kind"] for one in steps[:-1]] == ["upload", "upload", "upload", "adoption"]
    assert steps[-2]["values"]["total_revenue"] == ["40.00", "30.00"]
    assert not steps[-1]["differs"]
    days = {one["order_date"] for one in shopkpi("diff", "4", "5", "--format", "json").json}
    assert days == {DAY, "2025-03-02"}


def test_files_of_another_contract_count_until_its_adoption(shopkpi: Shopkpi) -> None:
    put_history(shopkpi)
    assert shopkpi("contract", "adopt", "string-ids").code == 0
    head = shopkpi("explain", DAY, "--format", "json").events[-1]["head"]
    assert orders_at(shopkpi, 3) == [(DAY, "40.00", "0.0000")]
    assert orders_at(shopkpi, head) == [(DAY, "40.00", "0.5000")]
    assert shopkpi("diff", "4", str(head), "--format", "json").json == []
    steps = shopkpi("explain", DAY, "--format", "json").events
    assert [one["sequence"] for one in steps[:-1]] == [2, 3, 4]


def test_a_deleted_customer_is_in_no_sequence(shopkpi: Shopkpi) -> None:
    put_history(shopkpi)
    assert shopkpi("erase-customer", "8", "--delete").code == 0
    done = shopkpi("query", "orders", "--as-of", "3", "--format", "json")
    assert [one["total_revenue"] for one in done.json] == ["10.00"]
    assert "a customer was deleted at" in done.err
    events = shopkpi("explain", DAY, "--format", "json").events
    assert len(events[-1]["erased_at"]) == 1
    assert not events[-1]["differs"]
    assert events[1]["values"]["total_revenue"] == ["0.00", "10.00"]


def test_language_2_is_explained_and_compared(shopkpi: Shopkpi) -> None:
    put_history(shopkpi)
    text = shopkpi("contract", "show", "--language", "2").out
    Path("two.toml").write_text(text)
    assert shopkpi("contract", "adopt", "two.toml").code == 0
    upload(shopkpi, "order_items/b.csv", ITEMS + "1,1,5,,11.00\n", 4)
    *steps, last = shopkpi("explain", DAY, "--format", "json").events
    assert steps[-1]["values"]["total_revenue"] == ["40.00", "41.00"]
    assert steps[-1]["rows"] == {"order_items": 1}
    assert not last["differs"]
    head = last["head"]
    changed = shopkpi("diff", str(head - 1), str(head), "--format", "json").json
    assert ("total_revenue", "40.00", "41.00") in [
        (one["attribute"], one["before"], one["after"]) for one in changed
    ]
