"""Archiving never moves a raw file that was not validated."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.support.samples import entry
from tests.support.shops import Pipeline
from worker.errors import SourceChanged
from worker.maintenance.archive import archive
from worker.objects import ObjectInfo
from worker.objects.local import FolderStore
from worker.objects.location import Location, locate
from worker.objects.memory import MemoryStore
from worker.objects.source import source_id
from worker.state.memory import MemoryState

ORDERS = "order_id,user_id,status,created_at\n1,7,delivered,2025-03-01T10:00:00\n"


class Overwriting(FolderStore):
    """The shop uploads the file again as soon as it was read for the copy."""

    def __init__(self, path: Path, content: str) -> None:
        self._path = path
        self._content = content

    async def read(self, info: ObjectInfo, start: int, end: int) -> bytes:
        data = await super().read(info, start, end)
        self._path.write_text(self._content)
        return data


async def test_an_upload_during_the_move_stays(tmp_path: Path) -> None:
    path = tmp_path / "orders" / "1.csv"
    path.parent.mkdir()
    path.write_text(ORDERS)
    newer = ORDERS + "2,8,delivered,2025-03-02T10:00:00\n"
    async with Pipeline(tmp_path / "work") as pipeline:
        assert pipeline.state is not None
        await pipeline.validate(path)
        with pytest.raises(SourceChanged):
            await archive(
                Overwriting(path, newer),
                locate(str(path)),
                ledger=pipeline.state,
                store=FolderStore(),
                to=locate(str(tmp_path / "old")),
            )
    assert path.read_text() == newer


@pytest.mark.parametrize(
    "key",
    [
        "orders/../../../../outside/1.csv",
        "../../../orders/1.csv",
        "orders/./../..",
        "orders/%2E%2E/1.csv",
        "/orders//1.csv",
        "orders/a\0b.csv",
        "orders/..\n../1.csv",
    ],
)
async def test_no_key_of_s3_leads_out_of_a_folder(tmp_path: Path, key: str) -> None:
    """In a key of S3, `..` is an ordinary name."""
    bucket, state, folder = MemoryStore("shop"), MemoryState(), tmp_path / "a" / "b" / "old"
    async with bucket.create(key) as writer:
        await writer.write(b"x")
    info = await bucket.stat(key)
    found = replace(entry("1"), source_id=source_id(info), url=info.url)
    await state.commit(found)
    place = Location(bucket="shop", key=key)
    arguments: dict[str, Any] = {"ledger": state, "store": FolderStore(), "to": locate(str(folder))}

    _, copy = await archive(bucket, place, **arguments)

    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written == [Path("/") / copy]
    assert written[0].is_relative_to(folder / "archive" / found.source_id)
    assert written[0].resolve() == written[0]
    # Asked again, it is found where it went.
    assert await archive(bucket, place, **arguments) == (found.at(1), copy)


@pytest.mark.parametrize("verdict", ["accepted", "refused"])
@pytest.mark.parametrize(
    ("key", "is_kept"),
    [
        (f"orders/{'a' * 900}/b.csv.gz", True),
        (f"orders/{'a' * 1000}.csv", False),
        (f"orders/{'ß' * 500}.csv", False),
        (f"{'a' * 1024}", False),
    ],
)
async def test_a_key_too_long_for_its_folder_is_shortened(
    key: str, is_kept: bool, verdict: Literal["accepted", "refused"]
) -> None:
    bucket, target, state = MemoryStore("shop"), MemoryStore("old"), MemoryState()
    async with bucket.create(key) as writer:
        await writer.write(b"x")
    info = await bucket.stat(key)
    found = replace(entry("1"), source_id=source_id(info), url=info.url, verdict=verdict)
    await state.commit(found)
    place = Location(bucket="shop", key=key)
    arguments: dict[str, Any] = {"ledger": state, "store": target, "to": locate("s3://old")}

    _, copy = await archive(bucket, place, **arguments)

    zone = "archive" if verdict == "accepted" else "quarantine"
    assert copy.startswith(f"{zone}/{found.source_id}/")
    assert copy.endswith(key) is is_kept
    written = [one.key async for one in target.list("")]
    assert copy in written
    # The limit of S3, which a store in memory does not have.
    assert all(len(one.encode()) <= 1024 for one in written)
    assert await archive(bucket, place, **arguments) == (found.at(1), copy)


async def test_short_keys_keep_folder_and_ending() -> None:
    bucket, target, state = MemoryStore("shop"), MemoryStore("old"), MemoryState()
    copies = []
    for name in ("a", "b"):
        key = f"orders/{name * 1000}.csv.gz"
        async with bucket.create(key) as writer:
            await writer.write(b"x")
        info = await bucket.stat(key)
        await state.commit(replace(entry("1"), source_id=source_id(info), url=info.url))
        _, copy = await archive(
            bucket,
            Location(bucket="shop", key=key),
            ledger=state,
            store=target,
            to=locate("s3://old"),
        )
        copies.append(copy)
        assert re.fullmatch(r"archive/[0-9a-f]{16}/orders/[0-9a-f]{32}\.csv\.gz", copy)
    assert len(set(copies)) == 2
