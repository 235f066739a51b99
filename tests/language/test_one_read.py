"""A file that feeds two datasets is read and split once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kpi.csv.splitter import RecordSplitter
from tests.language.contracts import HEAD
from tests.language.files import File
from tests.language.product import run
from worker.objects import ObjectInfo
from worker.objects.local import FolderStore
from worker.validate.stream import BlockSizes

CONTRACT = (
    HEAD
    + """
[[files]]
match = "sales.csv"
feeds = ["orders", "order_items"]
[orders.columns]
order_id = "Order"
created_at = "Date"
[order_items]
key = "row"
[order_items.columns]
order_id = "Order"
after_discount = "Total"
"""
)


def test_a_file_of_two_datasets_is_read_and_split_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "Order,Date,Total\n" + "".join(f"{n},2025-03-01,5\n" for n in range(500))
    read: list[tuple[int, int]] = []
    split: list[int] = []
    plain_read, splitter = FolderStore.read, RecordSplitter.split

    async def counted(self: FolderStore, info: ObjectInfo, start: int, stop: int) -> bytes:
        if info.key.endswith("sales.csv"):
            read.append((start, stop))
        return await plain_read(self, info, start, stop)

    def counted_split(self: RecordSplitter, data: bytes, **options: Any) -> Any:
        split.append(len(data))
        return splitter(self, data, **options)

    monkeypatch.setattr(FolderStore, "read", counted)
    monkeypatch.setattr(RecordSplitter, "split", counted_split)
    outcome = run(
        tmp_path,
        CONTRACT,
        [File("sales.csv", text, 0)],
        block_sizes=BlockSizes(block_bytes=1000, overlap_bytes=0),
    )
    feeds = outcome.entries["sales.csv"].feeds
    assert {name: counts.clean for name, counts in feeds.items()} == {
        "orders": 500,
        "order_items": 500,
    }
    blocks = sorted(one for one in read if one[1] - one[0] <= 1000)
    assert sum(stop - start for start, stop in blocks) == len(text)
    # The beginning is looked at whole, for its delimiter; then come the blocks.
    of_blocks = sum(size for size in split if size <= 1000)
    assert len(text) - 100 <= of_blocks <= len(text)
