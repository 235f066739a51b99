"""Uploads of a name or of bytes that came before, by contracts of language 2."""

from __future__ import annotations

from pathlib import Path

import pytest

import worker.validate.file_versions
import worker.validate.validate_source
from kpi.contract.loading import parse_contract
from tests.language.contracts import FILES, HEAD, ITEMS, ORDERS
from tests.language.uploads import CONTRACT, Shop
from tests.support.shops import Pipeline

DAY = "2025-03-01"
OF_ORDERS = HEAD + FILES + ORDERS + ITEMS
"""Lines replace each other by order."""


@pytest.mark.parametrize(("text", "rows"), [(CONTRACT, 2), (OF_ORDERS, 1)])
@pytest.mark.parametrize("name", ["sales1.csv", "sales1 copy.csv"])
async def test_rows_that_go_back_are_counted(
    tmp_path: Path, text: str, rows: int, name: str
) -> None:
    async with Pipeline(tmp_path, parse_contract(text, source="test")) as pipeline:
        shop = Shop(pipeline, tmp_path / "in")
        lines = [f"1,1,{DAY},A,1,5", f"2,1,{DAY},B,1,5", f"3,2,{DAY},A,1,5"]
        await shop.put("sales1.csv", *lines)
        await shop.put("sales2.csv", f"1,1,{DAY},A,1,7", f"2,1,{DAY},B,1,9")
        await pipeline.transform()
        added = [f"4,3,{DAY},A,1,5"] if name == "sales1.csv" else []
        again = await shop.put(name, *lines, *added)
        report = await pipeline.transform()
        assert (await pipeline.transform()).rollbacks == ()
    (rollback,) = report.rollbacks
    names = [url.rsplit("/", 1)[1] for url in rollback.urls]
    assert (rollback.source_id, rollback.rows, names) == (again, rows, ["sales2.csv"])
    assert report.notes["rolled_back_rows"] == rows


async def test_rows_of_files_in_parts_go_back_nowhere(tmp_path: Path) -> None:
    text = OF_ORDERS.replace('key = "order"', 'key = "row"')
    async with Pipeline(tmp_path, parse_contract(text, source="test")) as pipeline:
        shop = Shop(pipeline, tmp_path / "in")
        await shop.put("sales1.csv", f"1,1,{DAY},A,1,5")
        await shop.put("sales2.csv", f"1,1,{DAY},A,1,7")
        await shop.put("sales1.csv", f"1,1,{DAY},A,1,5", f"2,2,{DAY},A,1,5")
        assert (await pipeline.transform()).rollbacks == ()


async def test_a_touched_file_is_hashed_and_not_validated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.validate.file_versions, "COPIED_FILE_BYTES", 0)
    async with Pipeline(tmp_path, parse_contract(CONTRACT, source="test")) as pipeline:
        shop = Shop(pipeline, tmp_path / "in")
        first = await shop.put("sales1.csv", f"1,1,{DAY},A,1,5")
        await pipeline.transform()
        monkeypatch.setattr(worker.validate.validate_source, "import_mapped_validation", None)
        second = await shop.put("sales1.csv", f"1,1,{DAY},A,1,5")
        assert second != first
        report = await pipeline.transform()
        assert [one.kind for one in report.notices] == ["same"]
        assert await shop.days() == [DAY]
