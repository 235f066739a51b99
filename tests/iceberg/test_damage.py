"""Missing and damaged files of a table are named, and the table is whole again."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.iceberg.shop import add
from tests.iceberg.tables import (
    NAMES,
    catalog_of,
    is_hinted,
    load,
    orders,
    publish,
    read,
)
from tests.support.shops import Pipeline, Upload
from worker.iceberg.publish import FORGOTTEN, KEPT, MADE_AGAIN

FILES: dict[str, Callable[[Any], str]] = {
    "metadata": lambda table: table.metadata_location,
    "manifest list": lambda table: table.current_snapshot().manifest_list,
    "manifest": lambda table: table.current_snapshot().manifests(table.io)[0].manifest_path,
    "data": lambda table: next(iter(table.scan().plan_files())).file.file_path,
}

DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "missing": lambda _: None,
    "empty": lambda _: b"",
    "cut off": lambda data: data[: len(data) * 2 // 3],
    "without its last byte": lambda data: data[:-1],
    "of other bytes": lambda data: bytes(byte ^ 0x55 for byte in data),
}


def damage(url: str, how: Callable[[bytes], bytes | None]) -> None:
    path = Path(url.removeprefix("file://"))
    data = how(path.read_bytes())
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)


async def test_a_damaged_file_is_named_and_its_table_made_again(pipeline: Pipeline) -> None:
    await publish(pipeline)
    # Nobody but its readers reads the bytes of a data file that keeps its length.
    cases = list(itertools.product(FILES, DAMAGES))
    cases.remove(("data", "of other bytes"))
    while cases:
        at_once = [(name, *cases.pop()) for name in NAMES if cases]
        expected = []
        for name, file, how in at_once:
            url = FILES[file](load(pipeline.workspace, name))
            damage(url, DAMAGES[how])
            expected.append((name, url, MADE_AGAIN))
        done = await publish(pipeline)
        assert [(one.table, one.url, one.remedy) for one in done.healed] == expected, at_once
        assert set(done.tables) == {name for name, *_ in at_once}
    again = await publish(pipeline)
    assert (again.healed, set(again.unchanged)) == ((), set(NAMES))
    assert [read(pipeline.workspace, name).num_rows for name in NAMES] == [4, 4, 2]


async def test_avro_that_ends_between_two_blocks_is_damaged(pipeline: Pipeline) -> None:
    """Its reader takes the end of the header for the end of the file."""
    await publish(pipeline)
    for file in ("manifest list", "manifest"):
        url = FILES[file](load(pipeline.workspace, "current_orders"))
        damage(url, lambda whole: whole[: whole.index(whole[-16:]) + 16])
        done = await publish(pipeline)
        assert [one.url for one in done.healed] == [url]
        assert len(orders(pipeline)) == 4


async def test_an_older_snapshot_that_cannot_be_read_is_forgotten(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    for number, file in enumerate(("data", "manifest list")):
        await publish(pipeline)
        old = load(pipeline.workspace, "current_orders")
        url, old_id = FILES[file](old), old.metadata.current_snapshot_id
        late = Upload("orders", (("2", "1", f"late {number}", "2025-03-01T12:00:00"),), 90 + number)
        await add(pipeline, tmp_path, f"late {number}", [late])
        await publish(pipeline)
        if number == 1:
            with catalog_of(pipeline.workspace) as catalog:
                table = catalog.load_table(("default", "current_orders"))
                table.manage_snapshots().create_tag(old_id, "mine").commit()
        damage(url, DAMAGES["missing"])
        done = await publish(pipeline)
        assert [(one.url, one.problem, one.remedy) for one in done.healed] == [
            (url, "is missing", KEPT if number == 1 else FORGOTTEN)
        ]
        left = {one.snapshot_id for one in load(pipeline.workspace, "current_orders").snapshots()}
        assert (old_id in left) == (number == 1)
        assert orders(pipeline)[2] == f"late {number}"


async def test_the_name_of_the_metadata_is_written_again(pipeline: Pipeline) -> None:
    await publish(pipeline)
    for how in ("missing", "empty", "of other bytes"):
        hint = load(pipeline.workspace, "current_orders").metadata_location.rpartition("/")[0]
        damage(f"{hint}/version-hint.text", DAMAGES[how])
        await publish(pipeline)
        assert is_hinted(load(pipeline.workspace, "current_orders"))
