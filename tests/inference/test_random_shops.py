"""What is inferred from a random shop's files gives the KPIs that an oracle computes."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.inference.shops import Shop, daily_kpis, make_shop
from tests.support.commands import Shopkpi

NAMES = ("total_orders", "total_revenue", "total_items_sold", "return_rate", "unique_customers")

SEEDS = range(24)


def published(shopkpi: Shopkpi, shop: Shop) -> dict[str, tuple[int, Decimal, int, Decimal, int]]:
    """Write a shop's files, infer their contract, run it, and query the KPIs."""
    for name, content in shop.files.items():
        path = Path("in") / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    inferred = shopkpi("contract", "infer", "in")
    assert inferred.code == 0, (shop.style, inferred.err)
    Path("c.toml").write_text(inferred.out)
    done = shopkpi("run", "in", "--contract", "c.toml", "--settle", "0", "--format", "json")
    for event in done.events:
        assert not event.get("rows_rejected"), (shop.style, event)
        assert event.get("verdict") != "refused", (shop.style, event)
    rows = shopkpi("query", "orders", "--format", "json").json
    return {
        row["order_date"]: (
            row["total_orders"],
            Decimal(row["total_revenue"] or "-1"),
            row["total_items_sold"] if row["total_items_sold"] is not None else -1,
            Decimal(row["return_rate"]),
            row["unique_customers"] if row["unique_customers"] is not None else -1,
        )
        for row in rows
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_shop_is_inferred_right(shopkpi: Shopkpi, seed: int) -> None:
    shop = make_shop(seed)
    found = published(shopkpi, shop)
    assert found == daily_kpis(shop), shop.style
