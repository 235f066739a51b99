"""Contracts of language 1 in language 2 publish the same KPIs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kpi.contract.loading import built_in, built_in_names, parse_contract
from kpi.contract.model import Contract
from kpi.contract.translation import to_language_2
from tests.support.shops import Pipeline, Upload, write

UPLOADS = [
    Upload("products", (("1", "Toys"), ("2", "Games")), 0),
    Upload(
        "orders",
        (
            ("1", "7", "shipped", "2025-03-01T23:59:59+02:00"),
            ("2", "7", "RETURNED", "2025-03-01T10:00:00"),
            ("3", "8", "", "2025-03-02T10:00:00"),
        ),
        1,
    ),
    Upload(
        "order_items",
        (
            ("1", "1", "1", "shipped", "9.99"),
            ("2", "1", "9", "returned", "0.01"),
            ("3", "2", "2", "returned", "5"),
            ("4", "9", "2", "shipped", "5"),
        ),
        2,
    ),
    Upload("orders", (("1", "9", "returned", "2025-03-02T10:00:00"),), 3),
]


def publish(home: Path, contract: Contract) -> dict[str, list[dict[str, object]]]:
    async def work() -> dict[str, list[dict[str, object]]]:
        async with Pipeline(home / "ws", contract) as pipeline:
            for path in write(home / "in", UPLOADS):
                await pipeline.validate(path)
            await pipeline.transform()
            return await pipeline.all_rows()

    return asyncio.run(work())


@pytest.mark.parametrize("name", ["default", "string-ids"])
def test_a_translated_contract_publishes_the_same_kpis(tmp_path: Path, name: str) -> None:
    contract = built_in(name)
    expected = publish(tmp_path / "1", contract)
    found = publish(tmp_path / "2", parse_contract(to_language_2(contract), source="test"))
    for table, rows in expected.items():
        assert [{key: row[key] for key in rows[0]} for row in found[table]] == rows


@pytest.mark.parametrize("name", built_in_names())
def test_every_built_in_contract_can_be_written(name: str) -> None:
    contract = built_in(name)
    shop = parse_contract(to_language_2(contract), source="test").shop
    assert shop is not None
    assert list(shop.datasets["order_items"].key) == list(contract.datasets["order_items"].key)
    assert [layout.feeds for layout in shop.files] == [("orders",), ("order_items",), ("products",)]
