"""A day that cannot be computed holds no other day back."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

import worker.transform.day_pipeline
from kpi.contract.loading import built_in, parse_contract
from kpi.errors import KpiError
from tests.support.shops import ALL_TABLES, Pipeline, Record, Upload, write
from worker.maintenance.audit import Audit, audit
from worker.state.sqlite.store import SqliteState

LARGEST = "99999999999999.9999"
CONTRACT = parse_contract(
    built_in().text.replace('"decimal", required', '"decimal", precision = 18, required'),
    source="large amounts",
)


def shop(days: int, too_large: set[int], amount: str = LARGEST, second: int = 1) -> list[Upload]:
    """An order of ten items each day; on some days their amounts exceed 64 bits."""
    orders: list[Record] = []
    items: list[Record] = []
    for day in range(days):
        orders.append((str(day), "1", "", str(date.fromordinal(739_000 + day))))
        price = amount if day in too_large else "1.00"
        items += [(str(10 * day + one), str(day), "1", "", price) for one in range(10)]
    return [Upload("orders", tuple(orders), second), Upload("order_items", tuple(items), second)]


@pytest.mark.parametrize("too_large", [{0}, {8}, {3, 4}, {0, 2, 4, 6, 8}])
async def test_all_other_days_are_published(tmp_path: Path, too_large: set[int]) -> None:
    async with Pipeline(tmp_path / "work", CONTRACT) as pipeline:
        for path in write(tmp_path, shop(9, too_large)):
            await pipeline.validate(path)
        for _ in range(2):
            with pytest.raises(KpiError, match="64 bits") as error:
                await pipeline.transform()
            named = re.findall(r"(\d{4}-\d\d-\d\d): amounts", str(error.value))
            assert named == [str(date.fromordinal(739_000 + day)) for day in sorted(too_large)]
            assert [row["order_date"] for row in await rows(pipeline)] == [
                str(date.fromordinal(739_000 + day)) for day in range(9) if day not in too_large
            ]

        # The same rows with right amounts, uploaded later, cure it.
        (_, items) = write(tmp_path / "later", shop(9, too_large, "2.00", second=2))
        await pipeline.validate(items)
        await pipeline.transform()
        assert [row["total_revenue"] for row in await rows(pipeline)] == [
            20 if day in too_large else 10 for day in range(9)
        ]


async def rows(pipeline: Pipeline) -> list[dict[str, object]]:
    return (await pipeline.all_rows())["order_kpis"]


async def test_some_of_many_days_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker.transform.day_pipeline, "REPORTED_DAYS", 2)
    async with Pipeline(tmp_path / "work", CONTRACT) as pipeline:
        for path in write(tmp_path, shop(16, set(range(16)) - {9})):
            await pipeline.validate(path)
        with pytest.raises(KpiError, match="unit, and 13 days more"):
            await pipeline.transform()
        assert len(await rows(pipeline)) == 1


@pytest.mark.slow
async def test_a_failed_day_hides_nothing_from_an_audit(tmp_path: Path) -> None:
    async with Pipeline(tmp_path / "work", CONTRACT) as pipeline:
        for path in write(tmp_path, shop(9, set())):
            await pipeline.validate(path)
        await pipeline.transform()
        (_, items) = write(tmp_path / "later", shop(9, {4}, second=2))
        for path in (items, *write(tmp_path / "new", shop(11, {4, 10}, second=3))):
            await pipeline.validate(path)
        with pytest.raises(KpiError):
            await pipeline.transform()
        # The day is as it was, and right as of then.
        assert (await audited(pipeline)).differences == ()
        assert not (await audited(pipeline)).failed

        assert isinstance(pipeline.state, SqliteState)
        changed = [(str(date.fromordinal(739_000 + day)),) for day in (4, 5)]
        query = "UPDATE order_kpi_rows SET total_orders = 9 WHERE order_date = ?"
        await pipeline.state._file.run(lambda db: db.executemany(query, changed))
        found = await audited(pipeline)
        assert [one.order_date.toordinal() - 739_000 for one in found.differences] == [4, 5]


async def audited(pipeline: Pipeline) -> Audit:
    assert pipeline.state is not None
    return await audit(
        contract=pipeline.contract,
        workspace=pipeline.workspace,
        state=pipeline.state,
        tables=ALL_TABLES,
    )
