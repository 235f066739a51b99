"""The KPIs of a contract of language 2 at one sequence of the ledger, from all clean rows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from kpi.aggregation.calendar import NO_DAYS, Days, to_date
from kpi.aggregation.shop_kpis import ShopKpis, compute_kpis
from kpi.aggregation.shop_versions import FileRows, LatestRows, latest
from kpi.contract.model import Contract
from kpi.contract.shop import FileLayout, Shop
from kpi.mapping.mapper import DAY, clean_schema
from worker.clean import Workspace
from worker.clean.reader import CleanObject
from worker.errors import ConfigError
from worker.runtime.concurrency import each
from worker.state import Effect, Entry, Ledger
from worker.state.contract_in_force import contract_at
from worker.state.counted import CountedUploads
from worker.state.erasures import NO_ERASURES, Erasures
from worker.state.paging import records_in_pages

CONCURRENT_READS = 4


@dataclass(frozen=True, kw_only=True)
class ShopState:
    """KPIs of a shop at one sequence of the ledger.

    Attributes:
        shop: The contract in force.
        entries: Entries that count, from the earliest upload to the latest.
        accepted: Entries whose clean rows are of the contract, whether they count or not.
        rows: Latest rows of each dataset and reference.
        files: For each of them the entry of each of its files.
        kpis: Of all days.
        size_bytes: Of the clean files.
        uploads: Which uploads count.
        erasures: Customers that were erased from them.
    """

    shop: Shop
    entries: list[Entry]
    accepted: list[Entry]
    rows: Mapping[str, LatestRows]
    files: Mapping[str, list[Entry]]
    kpis: ShopKpis
    size_bytes: int
    uploads: CountedUploads
    erasures: Erasures = NO_ERASURES

    def waiting(self) -> dict[str, int]:
        """Rows that wait for an order or a reference, by source object."""
        waiting: dict[str, int] = {}
        for name, mask in self.kpis.facts.waiting.items():
            files = self.rows[name].files[mask]
            for number, count in zip(*np.unique(files, return_counts=True), strict=True):
                source_id = self.files[name][int(number)].source_id
                waiting[source_id] = waiting.get(source_id, 0) + int(count)
        return waiting

    def notes(self) -> dict[str, int]:
        """Count what a reader of the KPIs should know."""
        counts = {
            "provisional_days": len(self.kpis.facts.provisional),
            "orders_of_a_later_file": sum(rows.replaced_orders for rows in self.rows.values()),
        }
        return {name: count for name, count in counts.items() if count}

    def effect(self, entry: Entry, as_of: int, waiting: int) -> Effect:
        """Say what one source object changed."""
        superseded = 0
        days: set[int] = set()
        for name, entries in self.files.items():
            for number, one in enumerate(entries):
                if one.source_id != entry.source_id:
                    continue
                rows = self.rows[name]
                superseded += int(rows.superseded[number])
                if DAY in rows.table.schema.names and name in ("orders", "refunds"):
                    of_file = rows.table.column(DAY).filter(pa.array(rows.files == number))
                    days.update(of_file.drop_null().to_pylist())
        ordered = sorted(days)
        return Effect(
            as_of=as_of,
            superseded_rows=superseded,
            waiting_items=waiting,
            days=len(ordered),
            first_day=to_date(ordered[0]) if ordered else None,
            last_day=to_date(ordered[-1]) if ordered else None,
        )

    @property
    def order_days(self) -> Days:
        """Days that an order of any kind, or a refund, stands on; ascending."""
        facts = self.kpis.facts
        refunds = NO_DAYS if facts.refunds is None else facts.refunds.day
        return np.unique(np.concatenate([facts.orders.day, refunds]))


async def open_shop(
    ledger: Ledger, head: int, workspace: Workspace, contract: Contract, tables: frozenset[str]
) -> ShopState:
    """Compute the KPIs of all of the ledger's entries up to `head`.

    All clean rows are held in memory.

    Args:
        ledger: Its records up to `head` decide what counts, and which contract is in force.
        head: Sequence.
        workspace: Where the clean rows are.
        contract: Meaning of the clean rows, where the ledger has adopted no contract by then.
        tables: KPI tables to compute.

    Raises:
        ConfigError: The contract in force is not one of language 2.
        SourceError: A clean file cannot be read.
        StoreError: The ledger cannot be read, after retries.
    """
    in_force = await contract_at(ledger, head, contract)
    shop = in_force.contract.shop
    if shop is None:
        raise ConfigError(
            "the contract in force is not one of language 2",
            expected=f"one of the language of {contract.name!r}",
            hint="use another workspace",
        )
    accepted: dict[int, Entry] = {}
    uploads = CountedUploads()  # the rows of a dataset say what replaces them: see `latest`
    async for page in records_in_pages(ledger, head):
        records = in_force.select(page)
        uploads.add(records)
        accepted |= {one.sequence: one for one in records if isinstance(one, Entry)}
    entries = [accepted[upload.sequence] for upload in uploads.in_order()]
    rows: dict[str, LatestRows] = {}
    of_dataset: dict[str, list[Entry]] = {}
    for name, dataset in shop.all_datasets.items():
        fed = [entry for entry in entries if name in entry.feeds]

        async def read(entry: Entry, name: str = name) -> FileRows:
            rows = await _read(entry, name, workspace, shop)
            return replace(rows, name=uploads.name_of(entry))

        files = await each(fed, read, CONCURRENT_READS)
        schema = clean_schema(dataset)
        rows[name] = await asyncio.to_thread(latest, dataset, files, schema)
        of_dataset[name] = fed
    return ShopState(
        shop=shop,
        entries=entries,
        accepted=[one for one in accepted.values() if one.verdict == "accepted"],
        rows=rows,
        files=of_dataset,
        kpis=await asyncio.to_thread(compute_kpis, shop, rows, tables),
        uploads=uploads,
        erasures=in_force.erasures,
        size_bytes=sum(part.size_bytes for entry in entries for part in entry.parts),
    )


def _layout_of(entry: Entry, dataset: str, shop: Shop) -> FileLayout:
    """Find the entry of `[[files]]` that took the rows of a source object.

    Raises:
        ConfigError: The contract has none.
    """
    number = entry.feeds[dataset].file_entry
    found = shop.layout_of(entry.url)
    if number is not None and number < len(shop.files):
        return shop.files[number]
    if found is None:
        raise ConfigError(
            "it was cleaned with another contract",
            url=entry.url,
            expected=f"a file that an entry of [[files]] of contract {shop.name!r} matches",
            hint="use the contract it was validated with, or another workspace",
        )
    return found[0]


async def _read(entry: Entry, dataset: str, workspace: Workspace, shop: Shop) -> FileRows:
    """Read the clean rows of one source object for one dataset."""
    layout = _layout_of(entry, dataset, shop)
    schema = clean_schema(shop.all_datasets[dataset])
    tables = []
    for part in entry.parts:
        if part.dataset == dataset:
            file = CleanObject(workspace.store, workspace.stored(part.key))
            groups = range((await file.footer()).num_row_groups)
            tables.append((await file.read(list(groups), schema.names)).cast(schema))
    return FileRows(
        table=pa.concat_tables([schema.empty_table(), *tables]),
        name=entry.url,
        entry=shop.files.index(layout),
        replaces=layout.replaces,
    )
