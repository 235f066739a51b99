"""The clean zone of a shop at one ledger sequence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from kpi.aggregation.shop_versions import FedFile
from kpi.contract.model import Column, ColumnType, Contract, Dataset
from kpi.contract.shop import Kind, Shop, ShopDataset
from kpi.mapping.clean_rows import DAY, ROW, clean_key, dated_column
from kpi.mapping.columns import PLACES
from worker.clean import Workspace
from worker.errors import ConfigError
from worker.state import Entry, Ledger
from worker.state.contract_in_force import contract_at
from worker.state.counted import CountedUploads
from worker.state.erasures import NO_ERASURES, Erasures
from worker.state.paging import records_in_pages
from worker.transform.catalog import Catalog
from worker.transform.file_cache import FileCache
from worker.transform.file_table import FileTable
from worker.transform.limits import DEFAULT_LIMITS, TransformLimits
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
        catalogs: Dataset or reference -> files that count.
        precedence: Dataset or reference -> order of these files.
        feeds: Source object -> dataset -> file, of all uploads that ever counted.
        uploads: Which uploads count, and since when.
        erasures: Customers that were erased from them.
    """

    contract: Contract
    shop: Shop
    catalogs: Mapping[str, Catalog]
    precedence: Mapping[str, Precedence]
    feeds: Mapping[str, Mapping[str, FedFile]]
    uploads: CountedUploads = field(default_factory=CountedUploads)
    erasures: Erasures = NO_ERASURES

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
) -> ShopSnapshot:
    """List the clean files of the ledger's entries up to `head`; each is opened on first use.

    Args:
        ledger: Its records up to `head` decide what counts, and which contract is in force.
        head: Ledger sequence.
        workspace: Where the clean files are.
        contract: Meaning of the clean rows, where the ledger has adopted no contract by then.
        limits: What may be held in memory at once.

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
    tables = {}
    for name, dataset in shop.all_datasets.items():
        rows = clean_dataset(dataset)
        cache = FileCache(rows, workspace, in_force.contract, DAY)
        tables[name] = FileTable(rows, cache, limits)
    uploads = CountedUploads()  # the rows of a dataset say what replaces them: see `Precedence`
    feeds: dict[str, Mapping[str, FedFile]] = {}
    sources: dict[int, str] = {}
    async for page in records_in_pages(ledger, head):
        records = in_force.select(page)
        uploads.add(records)
        accepted = [one for one in records if isinstance(one, Entry) and one.verdict == "accepted"]
        for entry in accepted:
            feeds[entry.source_id] = _feeds(entry, shop)
            sources[entry.sequence] = entry.source_id
        for name, table in tables.items():
            table.add(one for one in accepted if name in one.feeds)
    counted = [upload.sequence for upload in uploads.in_order()]
    places = {sequence: place for place, sequence in enumerate(counted)}
    for table in tables.values():
        table.close(places)
    ordered = [sources[sequence] for sequence in counted]
    of_names = named(feeds, uploads)
    return ShopSnapshot(
        contract=in_force.contract,
        shop=shop,
        catalogs={name: Catalog(table) for name, table in tables.items()},
        precedence={name: precedence(shop, name, ordered, of_names) for name in tables},
        feeds=of_names,
        uploads=uploads,
        erasures=in_force.erasures,
    )


def named(feeds: Feeds, uploads: CountedUploads, up_to: int | None = None) -> Feeds:
    """Give each file the name by which its versions are known, as of a sequence; None for the last.

    A folder that was moved as a whole keeps the names in it.
    """
    return {
        source_id: {
            dataset: replace(file, name=uploads.name_of_source(source_id, up_to))
            for dataset, file in of_source.items()
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


def _feeds(entry: Entry, shop: Shop) -> dict[str, FedFile]:
    """Describe the file of an entry for each dataset that it feeds.

    Raises:
        ConfigError: No entry of `[[files]]` takes it.
    """
    found = {}
    for name in entry.feeds:
        number = _layout_number(entry, name, shop)
        found[name] = FedFile(name=entry.url, entry=number, replaces=shop.files[number].replaces)
    return found


def _layout_number(entry: Entry, dataset: str, shop: Shop) -> int:
    number = entry.feeds[dataset].file_entry
    if number is not None and number < len(shop.files):
        return number
    found = shop.layout_of(entry.url)
    if found is None:
        raise ConfigError(
            "it was cleaned with another contract",
            url=entry.url,
            expected=f"a file that an entry of [[files]] of contract {shop.name!r} matches",
            hint="use the contract it was validated with, or another workspace",
        )
    return shop.files.index(found[0])
