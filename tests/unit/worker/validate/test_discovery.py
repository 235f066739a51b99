"""Which objects below an input are sources."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from kpi.contract.loading import built_in, parse_contract
from tests.support.shops import Pipeline
from worker.errors import ConfigError
from worker.objects import ObjectStore
from worker.objects.local import FolderStore
from worker.objects.location import Location, locate
from worker.objects.memory import MemoryStore
from worker.objects.source import Source, source_id
from worker.validate.discovery import IgnoredInput, Inputs, LeftInput, find_inputs

ORDERS = "order_id,user_id,created_at\n1,7,2025-03-01\n"


def put(home: Path, name: str = "orders/1.csv") -> Path:
    path = home / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(ORDERS)
    return path


async def find_all(*places: str, workspace: str | None = None) -> Inputs:
    store: ObjectStore = FolderStore()
    inputs = [(store, locate(place)) for place in places]
    if workspace is None:
        return await find_inputs(inputs, built_in())
    return await find_inputs(inputs, built_in(), workspace=locate(workspace))


async def find(*places: str, workspace: str | None = None) -> list[Source]:
    return (await find_all(*places, workspace=workspace)).sources


def names(home: Path, found: Sequence[IgnoredInput | LeftInput]) -> list[str]:
    return [one.url.removeprefix(f"file://{home}/in/") for one in found]


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


async def test_files_in_no_dataset_folder_are_named(tmp_path: Path) -> None:
    for name in ("orders/1.csv", "order-items/1.csv", "Products/1.csv", "orders.csv", "read.me"):
        put(tmp_path, name)
    found = await find_all(str(tmp_path / "in"))
    assert [source.info.key.rsplit("/", 2)[-2:] for source in found.sources] == [
        ["orders", "1.csv"]
    ]
    assert names(tmp_path, found.ignored) == [
        *("Products/1.csv", "order-items/1.csv", "orders.csv", "read.me")
    ]
    assert [one.nearest for one in found.ignored][:3] == ["products", "order_items", "orders"]


async def test_marker_names_are_passed_over_in_silence(tmp_path: Path) -> None:
    for name in ("orders/1.csv", "orders/_SUCCESS", "orders/~$1.xlsx", "x/Thumbs.db"):
        put(tmp_path, name)
    found = await find_all(str(tmp_path / "in"))
    assert (len(found.sources), found.ignored, found.left) == (1, [], [])


async def test_marker_names_are_passed_over_on_s3_too(tmp_path: Path) -> None:
    del tmp_path
    store = MemoryStore()
    for key in ("in/orders/1.csv", "in/orders/.2.csv", "in/orders/_SUCCESS", "in/Orders/3.csv"):
        async with store.create(key) as writer:
            await writer.write(ORDERS.encode())
    found = await find_inputs([(store, Location(bucket="memory", key="in"))], built_in())
    assert [source.info.key for source in found.sources] == ["in/orders/1.csv"]
    assert [(one.url, one.nearest) for one in found.ignored] == [
        ("s3://memory/in/Orders/3.csv", "orders")
    ]


@pytest.mark.parametrize("name", ["_SUCCESS", "1.csv.part", ".1.csv", "_temporary/0/1.csv"])
async def test_a_marker_object_starts_no_failure(name: str) -> None:
    """On AWS each upload starts a task for itself, markers too."""
    store = MemoryStore()
    key = f"orders/{name}"
    async with store.create(key) as writer:
        await writer.write(b"")
    found = await find_inputs([(store, Location(bucket="memory", key=key))], built_in())
    assert (found.sources, found.left) == ([], [])
    assert [(one.url, one.nearest) for one in found.ignored] == [(f"s3://memory/{key}", None)]


async def test_an_object_not_needed_is_a_source_of_its_task_alone() -> None:
    contract = parse_contract(
        built_in("shopify").text.replace(
            "[[files]]", '[[files]]\nmatch = "*.pdf"\nfeeds = []\n\n[[files]]', 1
        ),
        source="a test",
    )
    store = MemoryStore()
    async with store.create("in/manual.pdf") as writer:
        await writer.write(b"%PDF-1.7")
    one = await find_inputs([(store, Location(bucket="memory", key="in/manual.pdf"))], contract)
    assert [source.dataset for source in one.sources] == ["not_needed"]
    every = await find_inputs([(store, Location(bucket="memory", key="in"))], contract)
    assert not every.sources
    assert [found.reason for found in every.ignored] == ["feeds nothing by the contract"]


async def test_a_file_that_is_named_itself_is_read_whatever_its_name(tmp_path: Path) -> None:
    path = put(tmp_path, "orders/1.csv.bak")
    assert len(await find(str(path))) == 1


async def test_an_input_without_a_source_names_the_nearest_folder(tmp_path: Path) -> None:
    put(tmp_path, "order-items/1.csv")
    with pytest.raises(ConfigError, match=r"folder of .*order-items/1\.csv to order_items/"):
        await find_all(str(tmp_path / "in"))


async def test_links_that_cannot_be_followed_are_named(tmp_path: Path) -> None:
    real = put(tmp_path)
    outside = tmp_path / "passwd"
    outside.write_text(ORDERS)
    (tmp_path / "elsewhere").mkdir()
    links = {
        "loop.csv": Path("loop.csv"),
        "nothing.csv": Path("gone.csv"),
        "out.csv": outside,
        "out_up.csv": Path("../../passwd"),
        "folder": tmp_path / "in" / "orders",
        "inside.csv": real,
    }
    for name, target in links.items():
        (real.parent / name).symlink_to(target)
    os.mkfifo(real.parent / "pipe.csv")
    found = await find_all(str(tmp_path / "in"))
    assert [source.info.key.rsplit("/", 1)[-1] for source in found.sources] == [
        *("1.csv", "inside.csv")
    ]
    assert {
        name.rsplit("/")[-1]: one.reason
        for name, one in zip(names(tmp_path, found.ignored), found.ignored, strict=True)
    } == {
        "folder": "a link to a folder",
        "loop.csv": "a link to nothing",
        "nothing.csv": "a link to nothing",
        "out.csv": "a link that leads out of the input",
        "out_up.csv": "a link that leads out of the input",
        "pipe.csv": "no regular file",
    }
    assert found.left == []


@pytest.mark.parametrize("seconds", [253402300800, -62135596801 - 86_400])
async def test_a_time_of_no_calendar_leaves_that_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    """As of a broken clock; not every file system can keep such a time."""
    put(tmp_path)
    put(tmp_path, "orders/2.csv")
    stat = Path.stat

    def stat_with_time(path: Path, *, follow_symlinks: bool = True) -> object:
        found = stat(path, follow_symlinks=follow_symlinks)
        if path.name != "2.csv":
            return found
        fields = {name: getattr(found, name) for name in dir(found) if name.startswith("st_")}
        return SimpleNamespace(**fields | {"st_mtime_ns": seconds * 10**9})

    monkeypatch.setattr(Path, "stat", stat_with_time)
    found = await find_all(str(tmp_path / "in"))
    assert [source.info.key.rsplit("/", 1)[-1] for source in found.sources] == ["1.csv"]
    assert names(tmp_path, found.left) == ["orders/2.csv"]
    assert "modification time" in str(found.left[0].error)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
async def test_a_folder_without_rights_leaves_the_others(tmp_path: Path) -> None:
    put(tmp_path)
    closed = put(tmp_path, "orders/closed/2.csv").parent
    closed.chmod(0)
    try:
        found = await find_all(str(tmp_path / "in"))
    finally:
        closed.chmod(0o700)
    assert len(found.sources) == 1
    assert names(tmp_path, found.left) == ["orders/closed"]


async def test_what_archive_has_moved_is_no_new_upload(tmp_path: Path) -> None:
    put(tmp_path)
    put(tmp_path, "archive/0123456789abcdef/shop/orders/2.csv")
    assert len(await find(str(tmp_path / "in"))) == 1
    # Named itself it is read: the archive may be what is left.
    assert len(await find(str(tmp_path / "in" / "archive"))) == 1
