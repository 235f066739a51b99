"""Files fit a contract where their folder names a dataset and their header has its columns."""

from __future__ import annotations

import pytest

from kpi.contract.loading import built_in
from worker.objects.memory import MemoryStore
from worker.objects.source import Source
from worker.validate.placed_files import FILES_OF_A_FOLDER, fit_contract

ORDERS = b"order_id,user_id,created_at,status\n1,2,2025-01-01T00:00:00,new\n"


async def sources(files: dict[str, bytes]) -> list[Source]:
    store = MemoryStore()
    for key, data in files.items():
        async with store.create(key) as writer:
            await writer.write(data)
    return [Source(info=info, dataset="unmatched", store=store) async for info in store.list("")]


@pytest.mark.parametrize(
    ("files", "fits"),
    [
        ({"orders/a.csv": ORDERS}, True),
        ({"orders/a.csv": b"\xef\xbb\xbf" + ORDERS.replace(b"\n", b"\r\n")}, True),
        ({"orders/a.csv": ORDERS, "orders/b.csv": b"Name,Email,Created at\n"}, False),
        ({"exports/a.csv": ORDERS}, False),
        ({"orders/a.csv": b""}, False),
        ({"orders/a.csv": b"PK\x03\x04 no text"}, False),
        ({}, False),
    ],
)
async def test_only_files_with_folder_and_header_fit(files: dict[str, bytes], fits: bool) -> None:
    assert await fit_contract(await sources(files), built_in()) is fits


async def test_files_past_the_first_of_a_folder_are_not_read() -> None:
    files = {f"orders/{number:03}.csv": ORDERS for number in range(FILES_OF_A_FOLDER)}
    files["orders/last.csv"] = b"Name,Email\n"
    assert await fit_contract(await sources(files), built_in())
