"""Built-in layouts: a sample of each is recognised by its header, and gives the KPIs of its note.

`samples/NAME/files` is a folder as it was downloaded, `expected.json` what an analyst makes of it.
"""

from __future__ import annotations

import json
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from kpi.contract.layouts import built_in_layouts, describe_left_out
from kpi.contract.loading import layout_names
from tests.support.commands import Done, Shopkpi

SAMPLES = Path(__file__).with_name("samples")


def expected_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SAMPLES / name / "expected.json").read_text())
    return found


def copy_sample(name: str, *, renamed: bool = False) -> None:
    """Copy the files of a sample to `shop`, under names that say nothing where asked for."""
    for number, file in enumerate(sorted((SAMPLES / name / "files").iterdir())):
        target = Path("shop") / (f"download-{number}" if renamed else file.name)
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(file, target)


def event(done: Done, name: str) -> list[dict[str, Any]]:
    return [one for one in done.events if one["event"] == name]


def query(shopkpi: Shopkpi, table: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shopkpi("query", table, "--format", "json").json
    return found


def is_equal(got: object, wanted: object) -> bool:
    if got is None or wanted is None:
        return got is wanted
    return Decimal(str(got)) == Decimal(str(wanted))


def test_each_layout_has_a_sample() -> None:
    assert sorted(path.name for path in SAMPLES.iterdir()) == layout_names()


@pytest.mark.parametrize("renamed", [False, True], ids=["named", "renamed"])
@pytest.mark.parametrize("name", layout_names())
def test_rule_26_a_layout_is_known_by_its_header_alone(
    shopkpi: Shopkpi, name: str, renamed: bool
) -> None:
    copy_sample(name, renamed=renamed)
    done = shopkpi("run", "shop", "--format", "json")
    (recognised,) = event(done, "layout.recognised")
    assert recognised["layout"] == name
    assert not event(done, "source.refused")
    assert not sum(one["rows_rejected"] for one in event(done, "source.committed"))
    expected = expected_of(name)
    rows = {row.pop("order_date"): row for row in query(shopkpi, "orders")}
    assert rows.keys() == expected["orders"].keys()
    for day, wanted in expected["orders"].items():
        for attribute, value in wanted.items():
            assert is_equal(rows[day][attribute], value), (day, attribute, rows[day][attribute])
    for day, wanted in expected.get("categories", {}).items():
        got = {
            row["category"]: Decimal(str(row["daily_revenue"]))
            for row in query(shopkpi, "category")
            if row["order_date"] == day
        }
        assert got == {category: Decimal(value) for category, value in wanted.items()}


def test_the_currency_is_that_of_the_files(shopkpi: Shopkpi) -> None:
    copy_sample("shopify")
    shopkpi("run", "shop", "--format", "json")
    rows = query(shopkpi, "orders")
    assert {row["other_currency_orders"] for row in rows} == {0}


def test_several_currencies_are_asked_for(shopkpi: Shopkpi) -> None:
    copy_sample("stripe")
    file = Path("shop/payments.csv")
    file.write_text(file.read_text().replace("18.40,,eur", "18.40,,usd"))
    done = shopkpi("run", "shop", "--format", "json")
    assert done.code == 2
    assert "EUR, USD" in done.err
    assert not Path(".shopkpi").exists()


def test_layouts_of_one_header_are_told_apart_by_values_or_asked_for(shopkpi: Shopkpi) -> None:
    copy_sample("bigcommerce")
    file = Path("shop/orders.csv")
    file.write_text(file.read_text().replace("13/03/2026", "12/03/2026"))
    done = shopkpi("run", "shop", "--format", "json")
    assert done.code == 2
    assert "--contract bigcommerce or bigcommerce-us" in done.err
    assert not Path(".shopkpi").exists()
    assert shopkpi("run", "shop", "--contract", "bigcommerce", "--format", "json").code == 0


def test_files_of_two_systems_are_asked_for(shopkpi: Shopkpi) -> None:
    copy_sample("shopify")
    copy_sample("stripe")
    done = shopkpi("run", "shop", "--format", "json")
    assert done.code == 2
    assert "layouts of several systems" in done.err


def test_a_file_without_the_header_is_refused_by_name(shopkpi: Shopkpi) -> None:
    copy_sample("shopify")
    Path("shop/notes.csv").write_text("a,b\n1,2\n")
    done = shopkpi("run", "shop", "--format", "json")
    (refused,) = event(done, "source.refused")
    assert refused["url"].endswith("notes.csv")
    assert "known_by" in refused["reason"]
    assert len(query(shopkpi, "orders")) == 2


def test_later_files_are_read_by_the_contract_in_force(shopkpi: Shopkpi) -> None:
    copy_sample("shopify")
    products, orders = Path("shop/products.csv"), Path("shop/orders.csv")
    later = products.read_text()
    products.unlink()
    shopkpi("run", "shop", "--format", "json")
    assert orders.exists()
    products.write_text(later)
    done = shopkpi("run", "shop", "--format", "json")
    assert not event(done, "layout.recognised")
    assert {row["category"] for row in query(shopkpi, "category")} == {"Food", "Kitchen", "(order)"}


def test_a_named_contract_is_not_recognised_away(shopkpi: Shopkpi) -> None:
    copy_sample("shopify")
    done = shopkpi("run", "shop", "--contract", "shopify", "--format", "json")
    assert not event(done, "layout.recognised")
    assert {row["other_currency_orders"] for row in query(shopkpi, "orders")} == {1}


def test_rule_28_a_layout_says_what_it_leaves_out(shopkpi: Shopkpi) -> None:
    out = shopkpi("contract", "list").out
    for layout in built_in_layouts():
        assert f"{layout.key}: {layout.title}" in out
        assert all(line in out for line in describe_left_out(layout.shop))
    assert "leaves out orders with status = voided or cancelled_at given" in out


def test_run_names_the_layout_and_what_it_leaves_out(shopkpi: Shopkpi) -> None:
    copy_sample("shopify")
    shown = shopkpi("run", "shop", "--format", "table").out
    assert "recognised: Shopify orders and products export" in shown
    assert "leaves out orders with status = voided or cancelled_at given" in shown
    told = shopkpi("run", "shop", "--workspace", "other", "--format", "json")
    (recognised,) = event(told, "layout.recognised")
    assert recognised["title"] == "Shopify orders and products export"
    assert "orders with status = voided or cancelled_at given" in recognised["left_out"]


def test_what_a_layout_decides_of_these_files_is_a_warning(shopkpi: Shopkpi) -> None:
    header = "Name,Financial Status,Fulfillment Status,Lineitem quantity,Lineitem price"
    header += ",Created at,Email,Cancelled at,Discount Amount,Refunded Amount,Currency"
    header += ",Lineitem sku,Lineitem discount"
    row = "#1,{},fulfilled,1,5.00,2026-04-04 {} +0500,a@example.com,,,,EUR,A,"
    Path("shop").mkdir()
    told: dict[tuple[str, str], tuple[str | None, list[str]]] = {}
    for status, clock in (("paid", "08:00:00"), ("voided", "08:00:00"), ("paid", "01:00:00")):
        Path("shop/orders.csv").write_text(f"{header}\n{row.format(status, clock)}\n")
        done = shopkpi("run", "shop", "--workspace", f"{status}{clock[:2]}", "--format", "json")
        (found,) = event(done, "layout.recognised")
        told[status, clock] = found.get("level"), found.get("choices", [])
    assert told["paid", "08:00:00"] == (None, [])
    assert told["voided", "08:00:00"][0] == told["paid", "01:00:00"][0] == "warning"
    assert "left out as no sale" in told["voided", "08:00:00"][1][0]
    assert "by UTC, 100%" in told["paid", "01:00:00"][1][0]
