"""What validates can be published: no store meets an empty key, or one that is too long."""

from __future__ import annotations

from pathlib import Path

import pytest

from kpi.contract.loading import built_in, parse_contract
from kpi.contract.model import MAX_KEY_BYTES
from tests.support.shops import Pipeline, Upload, write
from worker.state import State

DAY = "2025-03-01"
UPLOADS = (
    Upload("products", (("p", ""), ("q", "Books")), 1),
    Upload("orders", (("a", "u", "ok", f"{DAY}T10:00:00"),), 2),
    Upload("order_items", (("1", "a", "", "ok", "1.00"), ("2", "a", "q", "ok", "2.00")), 3),
)


@pytest.mark.parametrize("place", ["category", "product_id"])
async def test_an_empty_key_is_rejected_before_a_store_meets_it(
    state: State, tmp_path: Path, place: str
) -> None:
    text = built_in("string-ids").text
    for old, new in (
        ("max_reject_rate = 0.10", "max_reject_rate = 1"),
        ('null_values = [""]', 'null_values = ["NULL"]'),
    ):
        assert old in text, old
        text = text.replace(old, new)
    pipeline = Pipeline(tmp_path / "work", parse_contract(text, source="test"))
    pipeline.state = state
    number = {"category": 0, "product_id": 2}[place]
    try:
        entries = [await pipeline.validate(path) for path in write(tmp_path / "in", UPLOADS)]
        assert entries[number].rows_rejected == 1
        await pipeline.transform()
        rows = await pipeline.all_rows()
    finally:
        pipeline._executor.shutdown()
    assert [row["category"] for row in rows["category_kpis"]] == ["Books"]
    assert [row["product_id"] for row in rows["product_kpis"]] == ["q"]


@pytest.mark.parametrize("letter", ["k", "\u00e9", "\U0001f600"])
async def test_the_longest_keys_that_validate_are_published(
    state: State, tmp_path: Path, letter: str
) -> None:
    """A sort key of DynamoDB has at most 1,024 bytes, of which a letter takes up to four."""
    longest = letter * (MAX_KEY_BYTES // len(letter.encode()))
    too_long = longest + letter
    text = built_in("string-ids").text.replace("max_reject_rate = 0.10", "max_reject_rate = 1")
    uploads = (
        Upload("products", ((longest, longest), ("q", too_long)), 1),
        Upload("orders", (("a", "u", "ok", f"{DAY}T10:00:00"),), 2),
        Upload(
            "order_items",
            (("1", "a", longest, "ok", "1.00"), ("2", "a", too_long, "ok", "2.00")),
            3,
        ),
    )
    pipeline = Pipeline(tmp_path / "work", parse_contract(text, source="test"))
    pipeline.state = state
    try:
        entries = [await pipeline.validate(path) for path in write(tmp_path / "in", uploads)]
        assert [dict(entry.reasons) for entry in entries] == [{"too_long": 1}, {}, {"too_long": 1}]
        await pipeline.transform()
        rows = await pipeline.all_rows()
    finally:
        pipeline._executor.shutdown()
    assert [row["category"] for row in rows["category_kpis"]] == [longest]
    assert [row["product_id"] for row in rows["product_kpis"]] == [longest]
