"""Small shops for tests: their rows, written as files, run through the real pipeline."""

from __future__ import annotations

import asyncio
import csv
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from kpi.aggregation.tables import table_names
from kpi.contract.loading import built_in
from kpi.contract.model import Contract
from worker.clean import Workspace
from worker.objects.local import FolderStore
from worker.objects.location import locate
from worker.objects.source import Source
from worker.state import Entry, State
from worker.state.sqlite.store import SqliteState
from worker.transform import Report, transform
from worker.validate.context import ValidationContext
from worker.validate.stream import DEFAULT_BLOCK_SIZES, BlockSizes
from worker.validate.validate_source import validate

HEADERS = {
    "orders": ("order_id", "user_id", "status", "created_at"),
    "order_items": ("id", "order_id", "product_id", "status", "sale_price"),
    "products": ("id", "category"),
}
ALL_TABLES = table_names(["order", "category", "product"])

Record = tuple[str, ...]


@dataclass(frozen=True)
class Upload:
    """One file: its rows, and the second at which it was uploaded."""

    dataset: str
    records: tuple[Record, ...]
    second: int


def write(folder: Path, uploads: Sequence[Upload]) -> list[Path]:
    """Write uploads as CSV files whose times tell which is later."""
    paths = []
    for number, upload in enumerate(uploads):
        path = folder / upload.dataset / f"{number:03d}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(HEADERS[upload.dataset])
            writer.writerows(upload.records)
        time_ns = (1_700_000_000 + upload.second) * 10**9
        os.utime(path, ns=(time_ns, time_ns))
        paths.append(path)
    return paths


class Pipeline:
    """The real tasks over a folder and SQLite (or another state)."""

    def __init__(
        self,
        home: Path,
        contract: Contract | None = None,
        block_sizes: BlockSizes = DEFAULT_BLOCK_SIZES,
    ) -> None:
        self.contract = contract or built_in()
        self._block_sizes = block_sizes
        self._home = home
        self._store = FolderStore()
        self._executor = ThreadPoolExecutor(2)
        self.workspace = Workspace(store=self._store, location=locate(str(home)))
        self.state: State | None = None

    async def __aenter__(self) -> Pipeline:
        self.state = await SqliteState.open(self._home / "shopkpi.db")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.state is not None
        await self.state.close()
        self._executor.shutdown()

    def context(self, *, sha256: bool = False) -> ValidationContext:
        assert self.state is not None
        return ValidationContext(
            contract=self.contract,
            workspace=self.workspace,
            ledger=self.state,
            executor=self._executor,
            sha256=sha256,
            block_sizes=self._block_sizes,
        )

    async def source(self, path: Path) -> Source:
        info = await self._store.stat(path.as_posix().lstrip("/"))
        return Source(info=info, dataset=path.parent.name, store=self._store)

    async def validate(self, path: Path, *, sha256: bool = False) -> Entry:
        entry, _ = await validate(await self.source(path), self.context(sha256=sha256))
        return entry

    async def transform(self, **options: object) -> Report:
        assert self.state is not None
        return await transform(
            contract=self.contract,
            workspace=self.workspace,
            state=self.state,
            tables=ALL_TABLES,
            **options,  # type: ignore[arg-type]
        )

    async def rows(self, table: str) -> list[dict[str, object]]:
        """KPI rows without `as_of`, which tells when and not what."""
        assert self.state is not None
        return [
            {name: value for name, value in row.items() if name != "as_of"}
            async for row in self.state.rows(table)
        ]

    async def all_rows(self) -> dict[str, list[dict[str, object]]]:
        return {table: await self.rows(table) for table in sorted(ALL_TABLES)}


def run(home: Path, paths: Sequence[Path]) -> dict[str, list[dict[str, object]]]:
    """All files, one transform, all KPI rows."""

    async def work() -> dict[str, list[dict[str, object]]]:
        async with Pipeline(home) as pipeline:
            for path in paths:
                await pipeline.validate(path)
            await pipeline.transform()
            return await pipeline.all_rows()

    return asyncio.run(work())
