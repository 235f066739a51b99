"""Feed the second implementation of the KPIs (`worker.recount`) from raw and clean files.

All that the second implementation shares with the first is here, and narrow: which uploads of the
ledger count, and the bytes of a raw object, read and decompressed. Where the raw object is gone, it
is the rows of the clean file.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

import pyarrow as pa

from kpi.aggregation.tables import KPI_TABLES
from kpi.contract.model import Contract, Dataset
from kpi.erasure.rows import Subjects, build_subjects
from worker.clean import Workspace
from worker.clean.reader import CleanObject
from worker.maintenance.erased_rows import without_erased
from worker.maintenance.raw_bytes import TEXT, OpenObjects, RawFiles, blocks_of
from worker.maintenance.shop_recount import Reading, ShopRecount, Upload
from worker.recount.days import DayCount
from worker.recount.records import TooAmbiguousError, read_lines
from worker.recount.rows import CleanRow, Value, read_rows
from worker.recount.rows import Row as PlainRow
from worker.state import Entry, Ledger, Row
from worker.state.contract_in_force import adopted_contract, adoption_at, contract_at
from worker.state.counted import CountedUploads
from worker.state.kpi_rows import stored_row
from worker.state.paging import records_in_pages

COLUMNS = {
    "orders": ("order_id", "user_id", "created_at", "status", "num_of_item"),
    "order_items": ("order_id", "product_id", "sale_price", "status", "quantity"),
    "products": ("id", "category"),
}
"""Columns that the KPIs read, in the order in which the datasets are counted."""

AUTOMATIC_DAYS = 2
AUTOMATIC_BYTES = 256 * 2**20
AUTOMATIC_SHOP_BYTES = 32 * 2**20
"""Days counted where nobody says how many, and the uploads' bytes up to which that is done, by
contracts of language 1 and 2: about a minute of one core."""

AUTOMATIC_RECORDS = 1_000
"""Records of the ledger up to which that is done where some days are asked for: all are read."""


@dataclass
class Recount:
    """What a second count has read.

    Attributes:
        days: Days counted.
        raw_files: Uploads whose raw object was read.
        clean_files: Uploads whose clean file was read, as the raw object is gone, changed, or was
            validated with another contract.
        omitted: Why no day was counted where nobody asked for none; empty where days were.
        refused: Uploads that the second implementation refuses, though they were accepted, and why.
    """

    days: set[date] = field(default_factory=set)
    raw_files: set[str] = field(default_factory=set)
    clean_files: set[str] = field(default_factory=set)
    omitted: str = ""
    refused: dict[str, str] = field(default_factory=dict)


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
        self._raw = RawFiles(open_objects, workspace)
        self._subjects: Subjects | None = None
        self.result = Recount()

    async def close(self) -> None:
        """Close the stores of raw objects."""
        await self._raw.close()

    async def automatic_days(self, sequence: int, *, is_bounded: bool) -> int:
        """Return how many days to count where nobody says so: none where it would take long."""
        if is_bounded and sequence > AUTOMATIC_RECORDS:
            records = f"the ledger has {sequence:,} records"
            self.result.omitted = f"{records}: `--recount {AUTOMATIC_DAYS}` does it"
            return 0
        upload_bytes = sum(upload.receipt.size_bytes for upload in await self._uploads(sequence))
        limit = AUTOMATIC_BYTES if self._default.shop is None else AUTOMATIC_SHOP_BYTES
        if upload_bytes <= limit:
            return AUTOMATIC_DAYS
        size = f"{upload_bytes / 2**20:,.0f} MiB"
        self.result.omitted = f"the files have {size}: `--recount {AUTOMATIC_DAYS}` does it"
        return 0

    async def count(
        self, days: Collection[date], sequence: int
    ) -> Mapping[str, Mapping[date, Sequence[Row]]]:
        """Count some days as of a ledger sequence.

        Returns:
            KPI table -> day -> rows.

        Raises:
            ConfigError, SourceError, StoreError: As `worker.maintenance.audit.audit`.
        """
        adoption = await adoption_at(self._ledger, sequence)
        self._contract = adopted_contract(adoption, self._default)
        uploads = await self._uploads(sequence)
        self.result.days.update(days)
        if self._contract.shop is not None:
            return await self._count_shop(uploads, days)
        counted = DayCount(self._contract, days)
        add = {
            "orders": counted.add_orders,
            "order_items": counted.add_items,
            "products": counted.add_products,
        }
        for name, add_rows in add.items():
            for upload in uploads:
                if upload.receipt.dataset == name:
                    await self._add(upload.receipt, add_rows)
        return await asyncio.to_thread(counted.rows)

    async def _count_shop(
        self, uploads: list[Upload], days: Collection[date]
    ) -> dict[str, dict[date, list[Row]]]:
        result = self.result
        reading = Reading(result.raw_files, result.clean_files, result.refused)
        shop = ShopRecount(self._contract, self._workspace, self._raw, self._subjects, reading)
        counted = await shop.rows(uploads, days)
        return {
            name: {
                day: [stored_row(KPI_TABLES[name], row) for row in rows]
                for day, rows in by_day.items()
            }
            for name, by_day in counted.items()
        }

    async def _uploads(self, sequence: int) -> list[Upload]:
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
        return [
            Upload(receipt=entries[upload.sequence], name=uploads.name_of(upload.file))
            for upload in uploads.in_order()
        ]

    async def _add(self, upload: Entry, add_rows: Callable[[Iterable[PlainRow]], None]) -> None:
        dataset = self._contract.datasets[upload.dataset]
        async with self._raw.open(upload, self._contract) as raw:
            if raw is not None and raw.format == TEXT:
                lines = read_lines(blocks_of(raw.file))
                rows: Iterable[PlainRow] = read_rows(lines, self._contract, dataset)
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

    async def _clean_rows(self, upload: Entry, dataset: Dataset) -> AsyncIterator[list[PlainRow]]:
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


def _plain_rows(table: pa.Table) -> list[PlainRow]:
    return [
        CleanRow({name: _plain(value) for name, value in row.items()}) for row in table.to_pylist()
    ]


def _plain(value: object) -> Value:
    """Convert a UUID's bytes to its text; other values are plain."""
    return str(UUID(bytes=value)) if isinstance(value, bytes) else value  # type: ignore[return-value]
