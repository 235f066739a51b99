"""Read the latest rows of every dataset at a ledger sequence, with all columns.

What differs between two sequences is found without reading all keys: a row becomes the latest of
its key, or ceases to be, only where a file with that key began or ceased to count. So only row
groups may differ that are in such files, or that may share a key with one of their rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from kpi.aggregation.calendar import order_days
from kpi.contract.arrow_types import arrow_type
from kpi.contract.model import Contract, Dataset
from kpi.csv.header import RESCUED, RESCUED_TYPE
from kpi.kernels.arrays import Mask
from kpi.kernels.masks import booleans
from kpi.mapping.clean_rows import DAY
from worker.clean import Workspace
from worker.state import Ledger
from worker.state.contract_in_force import ContractInForce, adopted_contract, adoption_at
from worker.transform.catalog import Catalog
from worker.transform.clean_files import RowGroup
from worker.transform.latest_versions import LatestVersions
from worker.transform.limits import DEFAULT_LIMITS, TransformLimits
from worker.transform.shop.changed_files import ChangedFiles
from worker.transform.shop.snapshot import ShopSnapshot, open_shop_snapshot
from worker.transform.shop.transform import open_context
from worker.transform.shop.versions import deleted_rows
from worker.transform.snapshot import Snapshot, open_snapshot

CREATED = "created_at"


@dataclass(frozen=True, kw_only=True)
class CurrentDataset:
    """The rows of a dataset that are the latest of their key, and count.

    Attributes:
        dataset: Columns and key, in the words of language 1.
        columns: Clean columns to read.
        every: All of its clean files.
        live: Those whose rows may count.
        versions: Latest rows of `live`; resolved by `resolve`.
        changed: Source objects that began or ceased to count since the earlier sequence.
        has_keys: Whether rows of several files may share a key.
        keep: Returns which rows of a table do not say that their key is gone; None for all.
        time_zone: Zone whose day an order is on, where the clean rows do not have the day.
    """

    dataset: Dataset
    columns: tuple[str, ...]
    every: Catalog
    live: Catalog
    versions: LatestVersions
    changed: Collection[str]
    has_keys: bool = True
    keep: Callable[[pa.Table], Mask] | None = None
    time_zone: str | None = None

    @property
    def name(self) -> str:
        return self.dataset.name

    @property
    def schema(self) -> pa.Schema:
        """Schema of `read`: a UUID is 16 bytes, and `_day` a date."""
        fields = [pa.field(name, self._type(name)) for name in self.columns]
        if self.time_zone is not None:
            fields.append(pa.field(DAY, pa.date32()))
        return pa.schema(fields)

    async def changed_groups(self) -> list[RowGroup]:
        """Return the row groups that may have other latest rows than they had.

        Those of files that do not count any more are among them: they have none now.

        Raises:
            ConfigError, SourceError: As `Catalog.row_groups`.
        """
        groups = await self.every.of_sources(self.changed).row_groups()
        found = set(groups)
        if groups and self.has_keys:
            column = self.dataset.key[0]
            ids = await self.every.ids_of(column, groups)
            found.update(await self.live.row_groups_holding(column, ids))
        return list(found)

    async def resolve(self, groups: Sequence[RowGroup]) -> None:
        """Find the latest rows of some row groups, before they are read."""
        await self.versions.resolve(groups)

    async def read(self, batch: Sequence[RowGroup]) -> pa.Table:
        """Read the latest rows of some resolved row groups of one file, with all columns."""
        table = await batch[0].file.read(batch, self.columns)
        keep = np.ones(table.num_rows, bool)
        at = 0
        for group in batch:
            mask = self.versions.mask(group)
            if mask is not None:
                keep[at : at + group.rows] = mask
            at += group.rows
        if self.keep is not None:
            keep &= self.keep(table)
        return self._with_day(table if keep.all() else table.filter(booleans(keep)))

    def _type(self, name: str) -> pa.DataType:
        if name == RESCUED:
            return RESCUED_TYPE
        return pa.date32() if name == DAY else arrow_type(self.dataset.columns[name])

    def _with_day(self, table: pa.Table) -> pa.Table:
        if self.time_zone is not None:
            created = table.column(CREATED).combine_chunks()
            if isinstance(created, pa.ChunkedArray):  # of no chunk
                created = pa.array([], created.type)
            days = pa.array(order_days(created, self.time_zone))
            return table.append_column(DAY, days.cast(pa.date32()))
        if DAY not in table.schema.names:
            return table
        days = table.column(DAY).cast(pa.int32()).cast(pa.date32())
        return table.set_column(table.schema.get_field_index(DAY), DAY, days)


@dataclass(frozen=True, kw_only=True)
class CurrentRows:
    """The current rows of all datasets at a ledger sequence.

    Attributes:
        sequence: The sequence.
        in_force: The contract at it.
        datasets: The datasets of the contract; by one of language 2 also the references.
    """

    sequence: int
    in_force: ContractInForce
    datasets: tuple[CurrentDataset, ...]


async def open_current_rows(
    ledger: Ledger,
    sequence: int,
    workspace: Workspace,
    contract: Contract,
    *,
    since: int = 0,
    limits: TransformLimits = DEFAULT_LIMITS,
) -> CurrentRows:
    """Open the clean zone at a sequence.

    Args:
        ledger: Its records up to `sequence` decide what counts.
        sequence: The sequence.
        workspace: Where the clean files are.
        contract: Meaning of the clean rows, where the ledger has adopted none by then.
        since: Sequence since which changes are asked for.
        limits: What may be held in memory at once.

    Raises:
        ConfigError: The contract does not fit the clean zone.
        StoreError: The ledger cannot be read, after retries.
    """
    adopted = adopted_contract(await adoption_at(ledger, sequence), contract)
    if adopted.shop is not None:
        opened = await open_shop_snapshot(
            ledger, sequence, workspace, contract, limits, since=since
        )
        return CurrentRows(
            sequence=sequence,
            in_force=opened.history.in_force,
            datasets=current_datasets(opened, since),
        )
    snapshot = await open_snapshot(ledger, sequence, workspace, contract, limits, since=since)
    return CurrentRows(
        sequence=sequence,
        in_force=snapshot.in_force,
        datasets=current_datasets(snapshot, since),
    )


def current_datasets(snapshot: Snapshot | ShopSnapshot, since: int) -> tuple[CurrentDataset, ...]:
    """Return the current rows of each dataset of a snapshot; see `open_current_rows`."""
    if isinstance(snapshot, ShopSnapshot):
        return tuple(_of_shop(snapshot, since))
    return tuple(_of_snapshot(snapshot, one, since) for one in snapshot.catalogs)


def _of_snapshot(snapshot: Snapshot, catalog: Catalog, since: int) -> CurrentDataset:
    dataset = catalog.dataset
    zone = snapshot.contract.business_time_zone if dataset.name == "orders" else None
    return CurrentDataset(
        dataset=dataset,
        columns=(*dataset.columns, RESCUED),
        every=catalog.with_uncounted(),
        live=catalog,
        versions=LatestVersions(catalog),
        changed=snapshot.sources_since(since),
        time_zone=zone,
    )


def _of_shop(snapshot: ShopSnapshot, since: int) -> list[CurrentDataset]:
    context, files = open_context(snapshot, frozenset()), ChangedFiles(snapshot, since)
    found = []
    for name, dataset in snapshot.shop.all_datasets.items():
        catalog = snapshot.catalogs[name]

        def keep(table: pa.Table, name: str = name) -> Mask:
            return ~deleted_rows(snapshot.shop.all_datasets[name], table)

        found.append(
            CurrentDataset(
                dataset=catalog.dataset,
                columns=tuple(catalog.dataset.columns),
                every=catalog.with_uncounted(),
                live=snapshot.live(name),
                versions=context.versions[name],
                changed=files.sources(name),
                has_keys=dataset.key_by != "row",
                keep=keep if dataset.deleted else None,
            )
        )
    return found
