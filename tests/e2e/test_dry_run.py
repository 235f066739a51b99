"""`run --dry-run` says what `run` then does, value by value, and leaves everything as it was."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from kpi.aggregation.tables import KPI_TABLES
from tests.e2e.files import ITEMS, ORDERS, put, put_shop
from tests.support.commands import Shopkpi
from worker.cli.change_output import percent
from worker.sample import SampleSpec, write_sample

TABLES = {"order_kpis": "orders", "category_kpis": "category"}

Values = dict[tuple[str, str, str | None, str], Any]


def published(shopkpi: Shopkpi) -> Values:
    """Every value of every row, by table, day, group and attribute."""
    values: Values = {}
    for table, word in TABLES.items():
        done = shopkpi("query", word, "--format", "json")
        for row in json.loads(done.out) if done.code == 0 else []:
            day, group = row["order_date"], row.get("category")
            names = KPI_TABLES[table].kinds.keys() - {"order_date", "category"} & row.keys()
            values |= {(table, day, group, name): row[name] for name in names}
    return values


def previewed(shopkpi: Shopkpi, *options: str) -> dict[tuple[str, str, str | None, str], Any]:
    changes = shopkpi("run", "shop", "--dry-run", *options).json
    return {
        (one["table"], one["order_date"], one["group"], one["attribute"]): (
            one["before"],
            one["after"],
        )
        for one in changes
    }


def contents(folder: Path) -> dict[str, str]:
    """Digest of every file; of a database, its journal may change when it is opened."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


@pytest.mark.parametrize("layout", ["default", "language 2"])
def test_it_says_what_the_run_then_does(shopkpi: Shopkpi, tmp_path: Path, layout: str) -> None:
    write_sample(Path("all"), SampleSpec(orders=300, days=4, files=3, dirty=0.005))
    options: tuple[str, ...] = ()
    if layout == "language 2":
        options = ("--contract", "two.toml")
        put("two.toml", shopkpi("contract", "show", "--language", "2").out)
    files = sorted(path for path in Path("all").rglob("*") if path.is_file())
    steps = [files[at::3] for at in range(3)]  # items before orders, products in between
    for step in steps:
        for path in step:
            put(str(Path("shop") / path.relative_to("all")), path.read_bytes())
        before, kept = published(shopkpi), contents(tmp_path)
        told = previewed(shopkpi, *options)
        assert contents(tmp_path) == kept
        assert published(shopkpi) == before
        assert shopkpi("run", "shop", *options).code == 0
        after = published(shopkpi)
        assert told == {
            place: (before.get(place), after.get(place))
            for place in {*before, *after}
            if before.get(place) != after.get(place)
        }
        assert told
        assert previewed(shopkpi) == {}


def test_it_gives_the_change_in_per_cent(shopkpi: Shopkpi) -> None:
    put_shop()
    assert shopkpi("run", "shop").code == 0
    put("shop/orders/2.csv", ORDERS + "3,7,,2025-03-01\n")
    put("shop/order_items/2.csv", ITEMS + "6,3,1,,0.50\n")
    changes = shopkpi("run", "shop", "--dry-run").json
    percents = {one["attribute"]: one["percent"] for one in changes if one["table"] == "order_kpis"}
    assert percents["total_revenue"] == "4.2"  # 12.00 -> 12.50
    assert percents["return_rate"] == "-50.0"  # 1.0000 -> 0.5000
    assert "unique_customers" not in percents
    shown = shopkpi("run", "shop", "--dry-run", "--format", "table").out
    assert "percent" in shown


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (Decimal("3.00"), Decimal("4.00"), "33.3"),
        (Decimal("-2.00"), Decimal("-1.00"), "50.0"),
        (8, 4, "-50.0"),
        (0, 4, None),
        (None, 4, None),
        (4, None, None),
        ("a", "b", None),
    ],
)
def test_per_cent_is_of_the_value_before(
    before: Decimal | int | str | None, after: Decimal | int | str | None, expected: str | None
) -> None:
    change = percent(before, after)
    assert (None if change is None else str(change)) == expected


def test_refused_files_are_told_before_they_are_uploaded(shopkpi: Shopkpi) -> None:
    put("shop/orders/1.csv", "a,b\n1,2\n")
    done = shopkpi("run", "shop", "--dry-run")
    assert done.code == 4
    assert "would be refused" in done.err
    assert json.loads(done.out) == []
    assert not Path(".shopkpi").exists()
