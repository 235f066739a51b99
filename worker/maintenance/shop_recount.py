"""Feed the recount of contract language 2 from raw and clean files."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import pyarrow as pa

from kpi.contract.model import Contract
from kpi.erasure.rows import Subjects
from worker.clean import Workspace
from worker.clean.reader import CleanObject
from worker.maintenance.erased_rows import without_erased_of_shop
from worker.maintenance.raw_bytes import RawBytes, RawFiles
from worker.maintenance.raw_tables import open_tables
from worker.recount.records import TooAmbiguousError
from worker.recount.shop.contract import Dataset, Entry, read_contract
from worker.recount.shop.count import ShopCount
from worker.recount.shop.dates import Clock, Moment
from worker.recount.shop.days import KpiRow
from worker.recount.shop.rows import FileRows, Row
from worker.recount.shop.texts import NotCountedError, RefusedError
from worker.recount.shop.values import Value
from worker.state.entry import Entry as Receipt

DAY = "_day"
"""Column of clean rows with the day of their time."""


@dataclass(frozen=True, kw_only=True)
class Upload:
    """An upload that counts.

    Attributes:
        receipt: Its entry in the ledger.
        name: Name that its versions share.
    """

    receipt: Receipt
    name: str


@dataclass
class Reading:
    """What was read of some uploads: source ids.

    Attributes:
        raw: Those whose raw object was read.
        clean: Those whose clean files were.
        refused: Those that the recount refuses, though they were accepted, and why.
    """

    raw: set[str]
    clean: set[str]
    refused: dict[str, str]


class ShopRecount:
    """Counts days by a contract of language 2."""

    def __init__(
        self,
        contract: Contract,
        workspace: Workspace,
        raw_files: RawFiles,
        subjects: Subjects | None,
        reading: Reading,
    ) -> None:
        """Prepare the count.

        Args:
            contract: In force.
            workspace: Where the clean files are.
            raw_files: Opens raw objects.
            subjects: Customers that were erased; None where none was.
            reading: Collects what was read.
        """
        self._contract = contract
        self._shop = read_contract(contract.text)
        self._clock = Clock(self._shop.day, self._shop.times)
        self._workspace = workspace
        self._raw_files = raw_files
        self._subjects = subjects
        self._reading = reading
        self._count = ShopCount(self._shop)

    async def rows(
        self, uploads: Iterable[Upload], days: Collection[date]
    ) -> dict[str, dict[date, list[KpiRow]]]:
        """Count some days.

        Args:
            uploads: Those that count, from the earliest version to the latest.
            days: The days.

        Returns:
            KPI table -> day -> rows.

        Raises:
            SourceError: A clean file cannot be read.
        """
        try:
            for upload in uploads:
                if upload.receipt.feeds and not await self._add_raw(upload):
                    await self._add_clean(upload)
            return await asyncio.to_thread(self._count.rows, frozenset(days))
        finally:
            self._count.close()

    async def _add_raw(self, upload: Upload) -> bool:
        """Add the rows of a raw object; return whether that could be done."""
        source_id = upload.receipt.source_id
        async with self._raw_files.open(upload.receipt, self._contract) as raw:
            if raw is None:
                return False
            try:
                await asyncio.to_thread(
                    self._count.add, upload.name, self._file_rows(raw, upload.receipt)
                )
            except (NotCountedError, TooAmbiguousError):
                return False
            except RefusedError as refused:
                self._reading.refused[source_id] = str(refused)
        self._reading.raw.add(source_id)
        return True

    def _file_rows(
        self, raw: RawBytes, receipt: Receipt
    ) -> Iterator[tuple[Entry, Iterable[tuple[str, Row]]]]:
        """Yield the entry and the rows of each file in a raw object."""
        last_day = self._shop.not_after or (receipt.uploaded_at + timedelta(days=1)).date()
        for table in open_tables(self._shop, raw):
            rows: Iterable[tuple[str, Row]] = FileRows(self._shop, table, last_day)
            if self._subjects is not None:
                rows = without_erased_of_shop(rows, self._subjects, self._contract)
            yield table.entry, rows

    async def _add_clean(self, upload: Upload) -> None:
        receipt = upload.receipt
        self._reading.clean.add(receipt.source_id)
        for name, counts in receipt.feeds.items():
            number = counts.file_entry
            if number is None:
                number = self._shop.entries_for(receipt.url)[0].number
            parts = [part for part in receipt.parts if part.dataset == name]
            rows: list[Row] = []
            for part in parts:
                file = CleanObject(self._workspace.store, self._workspace.stored(part.key))
                names = (await file.schema()).names
                for group in range((await file.footer()).num_row_groups):
                    table = await file.read([group], names)
                    rows += await asyncio.to_thread(
                        self._clean_rows, self._shop.tables[name], table
                    )
            await asyncio.to_thread(self._count.add_clean, upload.name, name, number, rows)

    def _clean_rows(self, dataset: Dataset, table: pa.Table) -> list[Row]:
        """Convert clean rows: columns of the contract, a day beside the time that has one."""
        dated = dataset.valid_from or "created_at"
        kept = [name for name in table.schema.names if name in dataset.columns]
        instants = [name for name in kept if pa.types.is_timestamp(table.schema.field(name).type)]
        for name in instants:
            at = table.schema.get_field_index(name)
            table = table.set_column(at, name, table.column(name).cast(pa.int64()))
        return [
            Row({name: self._plain(row, name, dated, instants) for name in kept})
            for row in table.to_pylist()
        ]

    def _plain(
        self, row: Mapping[str, Value], name: str, dated: str, instants: Sequence[str]
    ) -> Value:
        value = row[name]
        if name not in instants or not isinstance(value, int):
            return value
        day = row.get(DAY) if name == dated else None
        if isinstance(day, int):
            return Moment(date(1970, 1, 1) + timedelta(days=day), value)
        return self._clock.at(value)
