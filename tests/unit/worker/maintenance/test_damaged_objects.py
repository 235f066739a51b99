"""Every kind of derived object, missing and damaged: KPIs stay right, and a rebuild heals it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.support import shops
from tests.support.shops import Pipeline, Upload
from tests.unit.worker.maintenance.maintained import LIMITS, differences, maintain, task_of
from tests.unit.worker.transform.test_indexed_files import ident
from worker.maintenance.audit import audit
from worker.maintenance.manifests import read_named
from worker.maintenance.rebuild import rebuild

SUMMED = replace(LIMITS, summed_orders=1, summed_at_once=1)
KINDS = {
    "index/current.json": "damaged",
    "index/*.run": "missing",
    "index/uploads.json": "damaged",
    "index/*.parquet": "damaged",
    "index/sums.json": "damaged",
    "index/*.sums": "missing",
    "packs/current.json": "damaged",
    "packs/*.pack": "missing",
}
"""Pattern of the objects of a kind, and what is wrong with them. Where a manifest is missing, there
is none of what it names, and nothing is wrong."""


async def late_order(pipeline: Pipeline, number: int) -> None:
    """Upload an order of a day that is there, and transform."""
    order = (ident(1_000 + number), ident(number), "shipped", "2025-03-01T12:00:00")
    item = (ident(1_000 + number), order[0], ident(100), "shipped", "1.50")
    folder = Path("/") / pipeline.workspace.absolute(f"late{number}")
    uploads = [Upload("orders", (order,), 100 + number), Upload("order_items", (item,), 100)]
    for path in shops.write(folder, uploads):
        await pipeline.validate(path)
    await pipeline.transform(limits=SUMMED)


async def check_kpis(pipeline: Pipeline) -> None:
    task = task_of(pipeline)
    found = await audit(contract=task.contract, workspace=task.workspace, state=task.state)
    assert found.differences == ()


def damage_objects(paths: list[Path], damage: str) -> None:
    for path in paths:
        data = path.read_bytes()
        middle = len(data) // 2
        path.unlink()
        if damage == "damaged":
            path.write_bytes(data[:middle] + b"\0" + data[middle + 1 :])


async def test_each_kind_of_object_is_told_and_healed(pipeline: Pipeline) -> None:
    home = Path("/") / pipeline.workspace.absolute("")
    task = replace(task_of(pipeline), limits=SUMMED)
    await late_order(pipeline, 0)
    for number, (pattern, damage) in enumerate(KINDS.items(), start=1):
        await maintain(pipeline)  # writes the checkpoint
        assert await differences(pipeline) == []
        objects = sorted(home.glob(pattern))
        assert objects, pattern
        damage_objects(objects, damage)
        assert await differences(pipeline), pattern
        if pattern == "index/current.json":
            runs = {*home.glob("index/*.run")}
            await maintain(pipeline)
            assert runs <= {*home.glob("index/*.run")}  # nobody knows which it named
        await late_order(pipeline, number)
        if not pattern.endswith(".json"):
            await check_kpis(pipeline)
        await rebuild(task)
        present = {path.name for zone in ("index", "packs") for path in (home / zone).iterdir()}
        assert await read_named(pipeline.workspace) <= present, pattern
    assert await differences(pipeline) == []
