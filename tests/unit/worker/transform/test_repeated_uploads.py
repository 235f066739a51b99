"""Uploads of a name that came before: equal ones, replacements, and rows that go back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kpi.contract.loading import built_in, parse_contract
from kpi.contract.model import Contract
from tests.support.shops import Pipeline
from worker.maintenance.audit import audit
from worker.stores import open_objects

HEADER = "order_id,user_id,status,created_at\n"
MONDAY = "2026-11-23T10:00:00"


class Shop:
    """Writes files of orders with given upload times, and brings the KPIs up to date."""

    def __init__(self, home: Path, pipeline: Pipeline) -> None:
        self._folder = home / "in" / "orders"
        self._folder.mkdir(parents=True)
        self._pipeline = pipeline

    async def put(self, name: str, second: int, *statuses: str) -> str:
        """Upload orders 1, 2, ... with these statuses; an empty one is left out."""
        path = self._folder / name
        rows = [
            f"{number},{number},{status},{MONDAY}\n"
            for number, status in enumerate(statuses, start=1)
            if status
        ]
        path.write_text(HEADER + "".join(rows))
        os.utime(path, (second, second))
        return (await self._pipeline.validate(path)).source_id

    async def return_rate(self) -> str:
        (row,) = await self._pipeline.rows("order_kpis")
        return str(row["return_rate"])


def replacing() -> Contract:
    return parse_contract('replaces = "file"\n' + built_in().text, source="test")


async def test_equal_uploads_change_nothing_and_are_told(tmp_path: Path) -> None:
    async with Pipeline(tmp_path) as pipeline:
        shop = Shop(tmp_path, pipeline)
        first = await shop.put("mon.csv", 100, "shipped", "shipped")
        await shop.put("tue.csv", 200, "returned")
        await pipeline.transform()
        touched = await shop.put("mon.csv", 300, "shipped", "shipped")
        report = await pipeline.transform()
        assert await shop.return_rate() == "0.5000"
        assert pipeline.state is not None
        effect = (await pipeline.state.effects([touched]))[touched]
    (notice,) = report.notices
    found = notice.kind, notice.upload.source_id, notice.other.source_id
    assert found == ("same", touched, first)
    assert (report.days, report.rollbacks) == ((), ())
    assert effect.superseded_rows == 2


async def test_rows_that_go_back_are_told(tmp_path: Path) -> None:
    async with Pipeline(tmp_path) as pipeline:
        shop = Shop(tmp_path, pipeline)
        await shop.put("mon.csv", 100, "shipped", "shipped", "shipped")
        await shop.put("tue.csv", 200, "returned", "shipped", "returned")
        await shop.put("wed.csv", 250, "", "shipped", "returned")
        await pipeline.transform()
        again = await shop.put("mon.csv", 300, "shipped", "shipped", "shipped", "shipped")
        report = await pipeline.transform()
        assert await shop.return_rate() == "0.0000"
        assert (await pipeline.transform()).rollbacks == ()
    (rollback,) = report.rollbacks
    names = [url.rsplit("/", 1)[1] for url in rollback.urls]
    assert (rollback.source_id, rollback.rows, names) == (again, 2, ["tue.csv", "wed.csv"])
    assert report.notes == {"rolled_back_rows": 2}


async def test_rows_that_a_copy_takes_back_are_told(tmp_path: Path) -> None:
    async with Pipeline(tmp_path) as pipeline:
        shop = Shop(tmp_path, pipeline)
        await shop.put("mon.csv", 100, "shipped", "shipped")
        await shop.put("tue.csv", 200, "returned")
        await pipeline.transform()
        copy = await shop.put("mon (1).csv", 300, "shipped", "shipped")
        (rollback,) = (await pipeline.transform()).rollbacks
    assert (rollback.source_id, rollback.rows) == (copy, 1)
    assert [url.rsplit("/", 1)[1] for url in rollback.urls] == ["tue.csv"]


async def test_a_re_export_with_the_corrections_takes_nothing_back(tmp_path: Path) -> None:
    async with Pipeline(tmp_path) as pipeline:
        shop = Shop(tmp_path, pipeline)
        await shop.put("mon.csv", 100, "shipped", "shipped")
        await shop.put("tue.csv", 200, "returned")
        await pipeline.transform()
        await shop.put("mon.csv", 300, "returned", "delivered")
        assert (await pipeline.transform()).rollbacks == ()


async def test_equal_bytes_of_another_name_are_told_and_count(tmp_path: Path) -> None:
    async with Pipeline(tmp_path) as pipeline:
        shop = Shop(tmp_path, pipeline)
        await shop.put("till-1.csv", 100, "shipped")
        await pipeline.transform()
        await shop.put("till-2.csv", 200, "shipped")
        (notice,) = (await pipeline.transform()).notices
    assert (notice.kind, notice.other.name.rsplit("/", 1)[1]) == ("copy", "till-1.csv")


@pytest.mark.parametrize(("replaces", "rate"), [(False, "0.5000"), (True, "0.0000")])
async def test_a_row_disappears_where_files_are_replaced_whole(
    tmp_path: Path, *, replaces: bool, rate: str
) -> None:
    async with Pipeline(tmp_path, replacing() if replaces else None) as pipeline:
        shop = Shop(tmp_path, pipeline)
        await shop.put("mon.csv", 100, "shipped", "returned")
        await pipeline.transform()
        await shop.put("mon.csv", 200, "shipped")
        report = await pipeline.transform()
        assert await shop.return_rate() == rate
    assert [one.kind for one in report.notices] == ["replaces"] * replaces


def versioned(kind: str) -> Contract:
    text = built_in().text.replace("[orders]\n", '[orders]\nversion = "updated_at"\n')
    column = f'[orders.columns]\nupdated_at = {{ type = "{kind}" }}'
    return parse_contract(text.replace("[orders.columns]", column), source="test")


@pytest.mark.parametrize(
    ("kind", "older", "newer"),
    [("integer", "9", "10"), ("timestamp", "2026-11-23", "2026-11-24"), ("integer", "", "-5")],
)
async def test_the_greater_version_is_the_later_row(
    tmp_path: Path, kind: str, older: str, newer: str
) -> None:
    """Of rows with the same version, the later upload is."""
    header = "order_id,user_id,status,created_at,updated_at\n"
    files = [
        f"1,1,returned,{MONDAY},{newer}\n2,2,shipped,{MONDAY},{newer}\n",
        f"1,1,shipped,{MONDAY},{older}\n2,2,returned,{MONDAY},{newer}\n",
        f"2,2,shipped,{MONDAY},{older}\n",
    ]
    contract = versioned(kind)
    async with Pipeline(tmp_path, contract) as pipeline:
        folder = tmp_path / "in" / "orders"
        folder.mkdir(parents=True)
        for number, rows in enumerate(files):
            path = folder / f"{number}.csv"
            path.write_text(header + rows)
            os.utime(path, (number, number))
            await pipeline.validate(path)
            await pipeline.transform()
        (row,) = await pipeline.rows("order_kpis")
        assert pipeline.state is not None
        audited = await audit(
            contract=contract,
            workspace=pipeline.workspace,
            state=pipeline.state,
            recount_days=1,
            open_objects=open_objects,
        )
    assert str(row["return_rate"]) == "1.0000"
    assert audited.differences == ()
    assert len(audited.recount.raw_files) == 3
