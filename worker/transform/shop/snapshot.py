"""The clean zone of a shop at one ledger sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kpi.contract.model import Column, ColumnType, Contract, Dataset
from kpi.contract.shop import Kind, Shop, ShopDataset
from kpi.mapping.clean_rows import DAY, ROW, clean_key, dated_column
from kpi.mapping.columns import PLACES
from worker.clean import Workspace
from worker.errors import ConfigError
from worker.state import Ledger
from worker.state.contract_in_force import contract_at
from worker.state.counted import CountedUploads
from worker.state.erasures import Erasures
from worker.transform.catalog import Catalog
from worker.transform.file_cache import FileCache
from worker.transform.file_table import FileTable
from worker.transform.history import History, read_history
from worker.transform.limits import DEFAULT_LIMITS, TransformLimits
from worker.transform.pack_upkeep import use_packs
from worker.transform.shop.feeds import Feeds
from worker.transform.shop.indexed_columns import shop_indexed_columns
from worker.transform.shop.precedence import Precedence, precedence
from worker.transform.snapshot import use_index

_TYPES: Mapping[Kind, ColumnType] = {
    "id": "string",
    "integer": "string",
    "text": "string",
    "money": "decimal",
    "factor": "decimal",
    "quantity": "decimal",
    "time": "timestamp",
    "version": "integer",
}
"""Kind of a column -> type of its clean values in the words of language 1."""


@dataclass(frozen=True, kw_only=True)
class ShopSnapshot:
    """The clean files of each dataset and reference, from the earliest version to the latest.

    Attributes:
        contract: Meaning of the clean rows.
        shop: The same in the words of language 2.
        history: What the ledger knows.
        catalogs: Dataset or reference -> files that count.
        precedence: Dataset or reference -> order of these files.
        feeds: Which datasets each accepted upload feeds.
    """

    contract: Contract
    shop: Shop
    history: History
    catalogs: Mapping[str, Catalog]
    precedence: Mapping[str, Precedence]
    feeds: Feeds

    @property
    def uploads(self) -> CountedUploads:
        """Which uploads count, and since when."""
        return self.history.uploads

    @property
    def erasures(self) -> Erasures:
        """Customers that were erased from the rows."""
        return self.history.in_force.erasures

    @property
    def limits(self) -> TransformLimits:
        return self.catalogs["orders"].limits

    @property
    def size_bytes(self) -> int:
        return sum(catalog.size_bytes for catalog in self.catalogs.values())

    @property
    def bytes_read(self) -> int:
        return sum(catalog.bytes_read for catalog in self.catalogs.values())

    def live(self, dataset: str) -> Catalog:
        """Return the files of a dataset that no later file replaced whole."""
        catalog, by = self.catalogs[dataset], self.precedence[dataset].by
        return catalog if by is None else catalog.of_uploads(by < 0)


def clean_dataset(dataset: ShopDataset) -> Dataset:
    """Describe the clean rows of a dataset in the words of language 1, for reading them."""
    in_key = clean_key(dataset)
    columns = {
        name: Column(
            name=name,
            type=_TYPES[column.stored_kind],
            required=name in in_key,
            precision=18,
            scale=PLACES.get(column.stored_kind, 4),
        )
        for name, column in dataset.columns.items()
    }
    if dated_column(dataset) is not None:
        columns[DAY] = Column(name=DAY, type="integer", required=DAY in in_key)
    if dataset.key_by == "row":
        columns[ROW] = Column(name=ROW, type="integer")
    key = in_key or ("order_id",) if "order_id" in columns else in_key or (next(iter(columns)),)
    return Dataset(name=dataset.name, folder="", key=key, columns=columns, version=dataset.version)


async def open_shop_snapshot(
    ledger: Ledger,
    head: int,
    workspace: Workspace,
    contract: Contract,
    limits: TransformLimits = DEFAULT_LIMITS,
    *,
    since: int = 0,
    with_index: bool = True,
) -> ShopSnapshot:
    """List the clean files of the ledger's entries up to `head`; each is opened on first use.

    Args:
        ledger: Its records up to `head` decide what counts, and which contract is in force.
        head: Ledger sequence.
        workspace: Where the clean files are.
        contract: Meaning of the clean rows, where the ledger has adopted no contract by then.
        limits: What may be held in memory at once.
        since: Sequence since which changes are asked for.
        with_index: Whether ids may be looked up in the key index.

    Raises:
        ConfigError: The contract in force is not one of language 2.
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
    # The rows of a dataset say what replaces them: see `Precedence`.
    history = await read_history(ledger, head, workspace, in_force, since=since)
    tables = {}
    for name, dataset in shop.all_datasets.items():
        rows = clean_dataset(dataset)
        cache = FileCache(rows, workspace, in_force.contract, DAY)
        tables[name] = FileTable(rows, cache, limits, history.rows, history.places)
    if with_index:
        await use_index(ledger, workspace, shop_indexed_columns(shop), tables.values())
        if any(len(table) > limits.unindexed_files for table in tables.values()):
            await use_packs(workspace, in_force.erasures.generation, tables.values())
    feeds = Feeds(history, shop)
    return ShopSnapshot(
        contract=in_force.contract,
        shop=shop,
        history=history,
        catalogs={name: Catalog(table) for name, table in tables.items()},
        precedence={name: precedence(feeds, name, history.places) for name in tables},
        feeds=feeds,
    )
