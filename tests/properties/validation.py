"""The whole validation of bytes, in memory: a file in, its entry, clean rows and rejects out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kpi.contract.loading import built_in, parse_contract
from kpi.contract.model import Contract
from kpi.validation.rejects import REJECTS
from worker.clean import Workspace
from worker.objects import ObjectInfo, ObjectStore
from worker.objects.location import Location
from worker.objects.memory import MemoryStore
from worker.objects.source import Source
from worker.runtime.memory_budget import READ_BLOCK_BYTES
from worker.state import Entry
from worker.state.memory import MemoryState
from worker.validate.context import ValidationContext
from worker.validate.stream import BlockSizes
from worker.validate.validate_source import validate

UPLOADED = datetime(2025, 6, 1, tzinfo=UTC)
RECORD_BYTES = 1024
"""Longest record of `LENIENT`, the least that a contract may say."""

Rows = list[dict[str, Any]]


def changed(*changes: tuple[str, str], name: str = "default") -> Contract:
    """A built-in contract with some of its text replaced."""
    text = built_in(name).text
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return parse_contract(text, source="test")


LENIENT = changed(
    ("max_reject_rate = 0.10", "max_reject_rate = 1"),
    ("max_record_bytes = 16777216", f"max_record_bytes = {RECORD_BYTES}"),
)
"""Refuses no file for the number of its rejects."""


@dataclass(frozen=True)
class Outcome:
    """What became of a file."""

    entry: Entry
    clean: Rows
    rejects: Rows

    @property
    def facts(self) -> tuple[object, ...]:
        """All of it but what names its objects and how long it took."""
        entry = self.entry
        counts = (entry.rows_read, entry.rows_clean, entry.rows_rejected, entry.reasons)
        return entry.verdict, entry.reason, entry.sha256, counts, self.clean, self.rejects


def outcome(
    data: bytes,
    *,
    dataset: str = "products",
    contract: Contract = LENIENT,
    block_bytes: int = READ_BLOCK_BYTES,
    wrap: Callable[[MemoryStore], ObjectStore] = lambda store: store,
) -> Outcome:
    """Validate a file, read in blocks of `block_bytes`, from a store that `wrap` may spoil."""
    return asyncio.run(_outcome(data, dataset, contract, block_bytes, wrap))


async def _outcome(
    data: bytes,
    dataset: str,
    contract: Contract,
    block_bytes: int,
    wrap: Callable[[MemoryStore], ObjectStore],
) -> Outcome:
    store = MemoryStore(clock=lambda: UPLOADED)
    async with store.create(f"{dataset}/1.csv") as writer:
        await writer.write(data)
    info = await store.stat(f"{dataset}/1.csv")
    workspace = Workspace(store=store, location=Location(bucket="memory", key="work"))
    with ThreadPoolExecutor(1) as executor:
        context = ValidationContext(
            contract=contract,
            workspace=workspace,
            ledger=MemoryState(),
            executor=executor,
            sha256=True,
            block_sizes=BlockSizes(block_bytes, block_bytes // 2),
        )
        source = Source(info=info, dataset=dataset, store=wrap(store))
        entry, _ = await validate(source, context)
    keys = [info.key async for info in store.list("")]
    assert all(key.startswith(("work/clean/", "work/rejects/", f"{dataset}/1.csv")) for key in keys)
    parts = [workspace.absolute(part.key) for part in entry.parts]
    rejects = [workspace.absolute(key) for key in entry.rejects]
    # What nothing names holds nothing.
    for key in set(keys) - {f"{dataset}/1.csv", *parts, *rejects}:
        assert await _rows(store, key) == []
    return Outcome(
        entry=entry,
        clean=[row for key in parts for row in await _rows(store, key)],
        rejects=[row for key in rejects for row in await _rows(store, key)],
    )


async def _rows(store: MemoryStore, key: str) -> Rows:
    info: ObjectInfo = await store.stat(key)
    data = await store.read(info, 0, info.size_bytes)
    table = pq.read_table(pa.BufferReader(data))
    assert "/rejects/" not in key or table.schema.equals(REJECTS)
    rows: Rows = table.to_pylist()
    return rows
