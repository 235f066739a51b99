"""The clean zone of a shop at one ledger sequence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow.compute as pc

from kpi.aggregation.shop_versions import FedFile
from kpi.contract.model import Column, ColumnType, Contract, Dataset
from kpi.contract.shop import Kind, Shop, ShopDataset
from kpi.kernels.masks import true
from kpi.mapping.clean_rows import DAY, ROW, clean_key, dated_column
from kpi.mapping.columns import PLACES
from worker.clean import Workspace
from worker.errors import ConfigError
from worker.index.upload_rows import read_feeds
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
from worker.transform.shop.precedence import Precedence

Feeds = Mapping[str, Mapping[str, FedFile]]
"""Source object -> dataset -> its file, for each dataset that it feeds."""

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
        feeds: Source object -> dataset -> file, of all uploads that ever counted.
    """

    contract: Contract
    shop: Shop
    history: History
    catalogs: Mapping[str, Catalog]
    precedence: Mapping[str, Precedence]
    feeds: Mapping[str, Mapping[str, FedFile]]

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
        catalog, gone = self.catalogs[dataset], self.precedence[dataset].gone
        return catalog.without(catalog.of_sources(gone)) if gone else catalog


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
) -> ShopSnapshot:
    """List the clean files of the ledger's entries up to `head`; each is opened on first use.

    Args:
        ledger: Its records up to `head` decide what counts, and which contract is in force.
        head: Ledger sequence.
        workspace: Where the clean files are.
        contract: Meaning of the clean rows, where the ledger has adopted no contract by then.
        limits: What may be held in memory at once.
        since: Sequence since which changes are asked for.

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
    if any(len(table) > limits.unindexed_files for table in tables.values()):
        await use_packs(workspace, in_force.erasures.generation, tables.values())
    is_first = pc.equal(history.rows.column("part"), 0)
    columns = history.rows.select(["source_id", "url", "feeds"]).filter(is_first)
    files = list(zip(*(one.to_pylist() for one in columns.columns), strict=True))
    names = {source_id: history.uploads.name_of((url, "")) for source_id, url, _ in files}
    feeds = {source_id: _feeds(url, text, names[source_id], shop) for source_id, url, text in files}
    places = history.places[true(is_first.combine_chunks())]
    ordered = [files[row][0] for row in np.argsort(places)[int((places < 0).sum()) :].tolist()]
    return ShopSnapshot(
        contract=in_force.contract,
        shop=shop,
        history=history,
        catalogs={name: Catalog(table) for name, table in tables.items()},
        precedence={name: precedence(shop, name, ordered, feeds) for name in tables},
        feeds=feeds,
    )


def named(feeds: Feeds, names: Mapping[str, str]) -> Feeds:
    """Give each file the name by which its versions are known: a moved folder keeps the names."""
    return {
        source_id: {
            dataset: replace(file, name=names[source_id]) for dataset, file in of_source.items()
        }
        for source_id, of_source in feeds.items()
    }


def precedence(
    shop: Shop,
    dataset: str,
    source_ids: Iterable[str],
    feeds: Mapping[str, Mapping[str, FedFile]],
) -> Precedence:
    """Order the files of some source objects that feed a dataset."""
    fed = {one: feeds[one][dataset] for one in source_ids if dataset in feeds[one]}
    return Precedence.of(fed, by_name=shop.all_datasets[dataset].key_by == "row")


def _feeds(url: str, text: str, name: str, shop: Shop) -> dict[str, FedFile]:
    """Describe a file for each dataset that it feeds.

    Args:
        url: Where it was read.
        text: The datasets, as in the column `feeds` of `worker.index.upload_rows`.
        name: URL that its versions share.
        shop: The contract.

    Raises:
        ConfigError: No entry of `[[files]]` takes it.
    """
    found = {}
    for dataset, number in read_feeds(text).items():
        entry = _layout_number(url, number, shop)
        found[dataset] = FedFile(name=name, entry=entry, replaces=shop.files[entry].replaces)
    return found


def _layout_number(url: str, number: int | None, shop: Shop) -> int:
    if number is not None and number < len(shop.files):
        return number
    found = shop.layout_of(url)
    if found is None:
        raise ConfigError(
            "it was cleaned with another contract",
            url=url,
            expected=f"a file that an entry of [[files]] of contract {shop.name!r} matches",
            hint="use the contract it was validated with, or another workspace",
        )
    return shop.files.index(found[0])
