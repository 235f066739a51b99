"""Which objects below an input are sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from kpi.contract.loading import built_in
from tests.support.shops import Pipeline
from worker.objects import ObjectStore
from worker.objects.local import FolderStore
from worker.objects.location import locate
from worker.objects.source import Source, source_id
from worker.validate.discovery import find_sources

ORDERS = "order_id,user_id,created_at\n1,7,2025-03-01\n"


def put(home: Path, name: str = "orders/1.csv") -> Path:
    path = home / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(ORDERS)
    return path


async def find(*places: str, workspace: str | None = None) -> list[Source]:
    store: ObjectStore = FolderStore()
    inputs = [(store, locate(place)) for place in places]
    if workspace is None:
        return await find_sources(inputs, built_in())
    return await find_sources(inputs, built_in(), workspace=locate(workspace))


async def test_one_file_is_one_source_however_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path)
    monkeypatch.chdir(tmp_path)
    spellings = [
        "in",
        "./in",
        "in/",
        "in/orders",
        str(path),
        f"file://{path}",
        "in/../in",
        "./in/./",
    ]
    ids = {source_id(source.info) for one in spellings for source in await find(one)}
    assert len(ids) == 1
    assert len(await find(*spellings)) == 1


async def test_our_own_results_are_no_sources(tmp_path: Path) -> None:
    put(tmp_path)
    inside = tmp_path / "in" / "out"
    async with Pipeline(inside) as pipeline:
        await pipeline.validate(tmp_path / "in" / "orders" / "1.csv")
    assert [*(inside / "clean" / "orders").rglob("*.parquet")]
    sources = await find(str(tmp_path / "in"), workspace=str(inside))
    assert [source.info.key.rsplit("/", 1)[-1] for source in sources] == ["1.csv"]
