"""A customer erased from the command line: no stored byte has the id, and KPIs are right."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.erasure.places import mentions
from tests.erasure.shop import CUSTOMER, FILES, ORDERS, OTHER, put_shop
from tests.support.commands import Shopkpi

BEFORE = [
    "2025-03-01,3,1110.00,3,0.0000,2",
    "2025-03-02,1,3.00,1,0.0000,1",
    "2025-03-03,1,7.00,1,0.0000,1",
    "2025-03-04,40,,0,0.0000,1",
]
DELETED = [
    "2025-03-01,1,100.00,1,0.0000,1",
    "2025-03-02,1,3.00,1,0.0000,1",
    "2025-03-04,40,,0,0.0000,1",
]

STORED = Path(".shopkpi")


def orders(shopkpi: Shopkpi) -> list[str]:
    return shopkpi("query", "orders", "--format", "csv").kpis


def erase(shopkpi: Shopkpi, *options: str) -> dict[str, object]:
    done = shopkpi("erase-customer", CUSTOMER, *options, "--format", "json")
    assert CUSTOMER not in done.out + done.err
    return {event["event"]: event for event in done.events}["customer.erased"]


@pytest.fixture
def shop(tmp_path: Path, shopkpi: Shopkpi) -> Path:
    folder = put_shop(tmp_path)
    assert shopkpi("run", "shop", "--kpis", "order,category,product").code == 0
    assert orders(shopkpi) == BEFORE
    assert len(mentions(CUSTOMER, [STORED])) >= 4  # the search finds what is there
    return folder


@pytest.mark.parametrize(
    ("option", "after"), [("--pseudonymise", BEFORE), ("--delete", DELETED)], ids=["-p", "-d"]
)
def test_an_erased_customer_is_nowhere_and_stays_away(
    shop: Path, shopkpi: Shopkpi, option: str, after: list[str]
) -> None:
    event = erase(shopkpi, option)
    assert event["files"] == 3
    assert event["rows"]["erased_rejects"] == 2  # type: ignore[index]
    assert orders(shopkpi) == after
    assert mentions(CUSTOMER, [STORED]) == []
    assert shopkpi("audit", "--recount", "9").code == 0

    again = erase(shopkpi, option)
    assert (again["files"], again["sequence"]) == (0, event["sequence"])

    # The old files once more, and a new one that has the customer's old orders.
    for name in ("orders/a.csv", "order_items/a.csv"):
        (shop / name).write_text(FILES[name] + "\n")
    (shop / "orders" / "c.csv").write_text(FILES["orders/b.csv"])
    done = shopkpi("run", "shop", "--format", "json")
    notes = [one["notes"] for one in done.events if one["event"] == "input.noted"]
    note = "pseudonymised_rows" if option == "--pseudonymise" else "erased_rows"
    assert sum(one.get(note, 0) for one in notes) >= 6
    assert orders(shopkpi) == after
    assert mentions(CUSTOMER, [STORED]) == []
    assert shopkpi("audit", "--recount", "9").code == 0


def test_a_dry_run_names_the_days_and_writes_nothing(shop: Path, shopkpi: Shopkpi) -> None:
    del shop
    before = sorted(STORED.rglob("*"))
    done = shopkpi("erase-customer", CUSTOMER, "--delete", "--dry-run", "--format", "json")
    assert "days that may change: 2025-03-01, 2025-03-03" in done.err
    days = {one["order_date"] for one in done.json}
    assert days == {"2025-03-01", "2025-03-03"}
    done = shopkpi("erase-customer", CUSTOMER, "--dry-run", "--format", "json")
    assert done.json == []
    assert sorted(STORED.rglob("*")) == before
    assert orders(shopkpi) == BEFORE
    assert mentions(CUSTOMER, [STORED])


def test_new_orders_of_an_erased_customer_count_under_the_pseudonym(
    shop: Path, shopkpi: Shopkpi
) -> None:
    erase(shopkpi, "--delete")
    new = (
        f"90,{CUSTOMER},shipped,2099-01-01T10:00:00,x@y\n91,{OTHER},shipped,2099-01-01T10:00:00,\n"
    )
    (shop / "orders" / "new.csv").write_text(ORDERS + new + new.replace("90,", "92,"))
    shopkpi("run", "shop")
    assert orders(shopkpi)[-1] == "2099-01-01,3,,0,0.0000,2"
    assert mentions(CUSTOMER, [STORED]) == []
    assert shopkpi("audit", "--recount", "9").code == 0


def test_a_pseudonym_can_be_deleted_later(shop: Path, shopkpi: Shopkpi) -> None:
    del shop
    erase(shopkpi)
    erase(shopkpi, "--delete")
    assert orders(shopkpi) == DELETED
    assert shopkpi("audit", "--recount", "9").code == 0


def test_an_id_that_nobody_has_is_an_error(shop: Path, shopkpi: Shopkpi) -> None:
    del shop
    done = shopkpi("erase-customer", "99999")
    assert done.code == 2
    assert "no row and no reject has this id" in done.err
    assert "99999" not in done.err
    assert shopkpi("erase-customer", "a@b.c").code == 2


def test_another_contract_does_not_bring_the_customer_back(shop: Path, shopkpi: Shopkpi) -> None:
    erase(shopkpi)
    shown = shopkpi("contract", "show").out
    Path("wider.toml").write_text(
        shown.replace(
            'status = { type = "string", max_bytes = 256 }',
            'status = { type = "string", max_bytes = 200 }',
        )
    )
    done = shopkpi("contract", "adopt", "wider.toml", "--format", "json")
    assert done.code == 0, done.err
    assert any(event["event"] == "source.committed" for event in done.events)
    assert orders(shopkpi) == BEFORE
    assert mentions(CUSTOMER, [STORED]) == []
    assert shopkpi("audit", "--recount", "9").code == 0
    assert (shop / "orders" / "a.csv").read_text() == FILES["orders/a.csv"]
