"""Feed the second implementation of the KPIs (`worker.recount`) from raw and clean files.

All that the second implementation shares with the first is here, and narrow: which uploads of the
ledger count, and the bytes of a raw object, read and decompressed. Where the raw object is gone, it
is the rows of the clean file.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import IO
from uuid import UUID

import pyarrow as pa

from kpi.contract.model import Contract, Dataset
from kpi.erasure.rows import Subjects, build_subjects
from worker.clean import Workspace
from worker.clean.reader import CleanObject
from worker.errors import ConfigError, SourceError
from worker.maintenance.erased_rows import without_erased
from worker.objects import ObjectInfo, ObjectStore
from worker.objects.location import Location, locate
from worker.recount.days import DayCount, KpiRow
from worker.recount.records import TooAmbiguousError, read_lines
from worker.recount.rows import CleanRow, Row, Value, read_rows
from worker.state import Entry, Ledger
from worker.state.contract_in_force import adopted_contract, adoption_at, contract_at
from worker.state.counted import CountedUploads
from worker.state.paging import records_in_pages
from worker.validate.stream import SourceStream
from worker.validate.verdict import Unreadable

READ_BYTES = 2**20
"""Bytes of a raw file that are split into lines at once."""

TEMPORARY_MEMORY_BYTES = 16 * 2**20
"""Decompressed raw files up to this size are kept in memory, larger ones in a temporary file."""

COLUMNS = {
    "orders": ("order_id", "user_id", "created_at", "status"),
    "order_items": ("order_id", "product_id", "sale_price", "status", "quantity"),
    "products": ("id", "category"),
}
"""Columns that the KPIs read, in the order in which the datasets are counted."""

AUTOMATIC_DAYS = 2
AUTOMATIC_BYTES = 256 * 2**20
"""Days counted where nobody says how many, and the uploads' bytes up to which that is done: about
a minute of one core."""

OpenObjects = Callable[[Location], Awaitable[ObjectStore]]


@dataclass
class Recount:
    """What a second count has read.

    Attributes:
        days: Days counted.
        raw_files: Uploads whose raw object was read.
        clean_files: Uploads whose clean file was read, as the raw object is gone, changed, or was
            validated with another contract.
        omitted: Why no day was counted where nobody asked for none; empty where days were.
    """

    days: set[date] = field(default_factory=set)
    raw_files: set[str] = field(default_factory=set)
    clean_files: set[str] = field(default_factory=set)
    omitted: str = ""


class Recounter:
    """Counts days from the ledger's uploads, up to some sequence."""

    def __init__(
        self,
        contract: Contract,
        workspace: Workspace,
        ledger: Ledger,
        open_objects: OpenObjects | None,
    ) -> None:
        """Prepare the count.

        Args:
            contract: Contract of the uploads, where the ledger has adopted none.
            workspace: Where the clean files are.
            ledger: The ledger.
            open_objects: Opens the store of a raw object; None where only clean files are read.
        """
        self._default = contract
        self._contract = contract
        self._workspace = workspace
        self._ledger = ledger
        self._open_objects = open_objects
        self._stores: dict[str, ObjectStore] = {}
        self._subjects: Subjects | None = None
        self.result = Recount()

    async def close(self) -> None:
        """Close the stores of raw objects."""
        for store in self._stores.values():
            await store.close()

    async def automatic_days(self, sequence: int) -> int:
        """Return how many days to count where nobody says so: none where it would take long."""
        upload_bytes = sum(upload.size_bytes for upload in await self._uploads(sequence))
        if upload_bytes <= AUTOMATIC_BYTES:
            return AUTOMATIC_DAYS
        size = f"{upload_bytes / 2**20:,.0f} MiB"
        self.result.omitted = f"the files have {size}: `--recount {AUTOMATIC_DAYS}` does it"
        return 0

    async def count(
        self, days: Collection[date], sequence: int
    ) -> dict[str, dict[date, list[KpiRow]]]:
        """Count some days as of a ledger sequence.

        Returns:
            KPI table -> day -> rows.

        Raises:
            ConfigError, SourceError, StoreError: As `worker.maintenance.audit.audit`.
        """
        adoption = await adoption_at(self._ledger, sequence)
        self._contract = adopted_contract(adoption, self._default)
        counted = DayCount(self._contract, days)
        uploads = await self._uploads(sequence)
        add = {
            "orders": counted.add_orders,
            "order_items": counted.add_items,
            "products": counted.add_products,
        }
        for name, add_rows in add.items():
            for upload in uploads:
                if upload.dataset == name:
                    await self._add(upload, add_rows)
        self.result.days.update(days)
        return await asyncio.to_thread(counted.rows)

    async def _uploads(self, sequence: int) -> list[Entry]:
        """Return the uploads that count, from the earliest version to the latest."""
        records = [
            record async for page in records_in_pages(self._ledger, sequence) for record in page
        ]
        in_force = await contract_at(self._ledger, sequence, self._default)
        if in_force.erasures.records:
            erasures = in_force.erasures
            self._subjects = build_subjects(erasures.key, erasures.customers, erasures.orders)
        uploads = CountedUploads(in_force.contract.replaces_file)
        records = in_force.select(records)
        uploads.add(records)
        entries = {record.sequence: record for record in records if isinstance(record, Entry)}
        return [entries[upload.sequence] for upload in uploads.in_order()]

    async def _add(self, upload: Entry, add_rows: Callable[[Iterable[Row]], None]) -> None:
        dataset = self._contract.datasets[upload.dataset]
        async with self._raw_text(upload) as text:
            if text is not None:
                rows: Iterable[Row] = read_rows(read_lines(_blocks(text)), self._contract, dataset)
                if self._subjects is not None and dataset.name != "products":
                    rows = without_erased(rows, self._subjects, dataset)
                try:
                    await asyncio.to_thread(add_rows, rows)
                except TooAmbiguousError:
                    pass  # Its clean rows come next: a row that is added again changes nothing.
                else:
                    self.result.raw_files.add(upload.source_id)
                    return
        self.result.clean_files.add(upload.source_id)
        async for some in self._clean_rows(upload, dataset):
            await asyncio.to_thread(add_rows, some)

    @asynccontextmanager
    async def _raw_text(self, upload: Entry) -> AsyncIterator[IO[bytes] | None]:
        """Open the decompressed raw object; None where the clean file is to be read."""
        found = await self._raw_object(upload)
        if found is None:
            yield None
            return
        store, info = found
        with tempfile.SpooledTemporaryFile(TEMPORARY_MEMORY_BYTES) as file:
            try:
                async with SourceStream(
                    store, info, max_inflation=self._contract.max_inflation
                ) as stream:
                    async for block in stream.blocks():
                        await asyncio.to_thread(file.write, block.new)
            except (SourceError, Unreadable):
                yield None
                return
            file.seek(0)
            yield file

    async def _raw_object(self, upload: Entry) -> tuple[ObjectStore, ObjectInfo] | None:
        if self._open_objects is None or upload.contract != self._contract.digest:
            return None
        try:
            place = locate(upload.url)
            if place.bucket not in self._stores:
                self._stores[place.bucket] = await self._open_objects(place)
            store = self._stores[place.bucket]
            kind, _, version = upload.version.partition(":")
            version_id = version if kind == "version" else None
            info = await store.stat(place.key, version_id=version_id)
        except (ConfigError, SourceError):
            return None
        is_same = (info.version, info.size_bytes) == (upload.version, upload.size_bytes)
        return (store, info) if is_same else None

    async def _clean_rows(self, upload: Entry, dataset: Dataset) -> AsyncIterator[list[Row]]:
        """Yield the clean rows of an upload, a row group at a time."""
        version = () if dataset.version is None else (dataset.version,)
        wanted = dict.fromkeys((*dataset.key, *COLUMNS[dataset.name], *version))
        for part in upload.parts:
            file = CleanObject(self._workspace.store, self._workspace.stored(part.key))
            names = (await file.schema()).names
            columns = [name for name in wanted if name in names and name in dataset.columns]
            groups = (await file.footer()).num_row_groups
            for number in range(groups):
                table = await file.read([number], columns)
                yield await asyncio.to_thread(_plain_rows, table)


def _blocks(text: IO[bytes]) -> Iterator[bytes]:
    while block := text.read(READ_BYTES):
        yield block


def _plain_rows(table: pa.Table) -> list[Row]:
    return [
        CleanRow({name: _plain(value) for name, value in row.items()}) for row in table.to_pylist()
    ]


def _plain(value: object) -> Value:
    """Convert a UUID's bytes to its text; other values are plain."""
    return str(UUID(bytes=value)) if isinstance(value, bytes) else value  # type: ignore[return-value]
