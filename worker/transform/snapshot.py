"""The clean zone at one ledger sequence: everything that the KPIs are a function of."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from kpi.contract.model import Contract
from worker.clean import Workspace
from worker.index.key_index import KeyIndex
from worker.state import Ledger
from worker.state.contract_in_force import ContractInForce, contract_at
from worker.state.counted import CountedUploads
from worker.state.erasures import Erasures
from worker.transform.catalog import Catalog
from worker.transform.file_cache import FileCache
from worker.transform.file_table import FileTable
from worker.transform.history import History, read_history
from worker.transform.indexed_files import (
    IndexedColumns,
    IndexedFiles,
    indexed_columns,
    table_name,
)
from worker.transform.limits import DEFAULT_LIMITS, TransformLimits
from worker.transform.pack_upkeep import use_packs

KEY_BYTES = 16
"""Length of the key under which ids are hashed."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The clean files of each dataset, from the earliest version to the latest.

    Attributes:
        history: What the ledger knows.
        orders: Files of orders that count.
        items: Files of order items that count.
        products: Files of products that count.
    """

    history: History
    orders: Catalog
    items: Catalog
    products: Catalog

    @property
    def in_force(self) -> ContractInForce:
        """The contract of the clean rows, and of which entries they are."""
        return self.history.in_force

    @property
    def uploads(self) -> CountedUploads:
        """Which uploads count, and since when."""
        return self.history.uploads

    @property
    def contract(self) -> Contract:
        """Meaning of the clean rows."""
        return self.in_force.contract

    @property
    def erasures(self) -> Erasures:
        """Customers that were erased from the rows."""
        return self.in_force.erasures

    @property
    def catalogs(self) -> tuple[Catalog, Catalog, Catalog]:
        return self.orders, self.items, self.products

    def catalog(self, dataset: str) -> Catalog:
        """Return the files of a dataset that count."""
        return next(one for one in self.catalogs if one.dataset.name == dataset)

    @property
    def index(self) -> IndexedFiles | None:
        """The key index; None where there are too few files for one."""
        return self.orders.index

    @property
    def bytes_read(self) -> int:
        return sum(catalog.bytes_read for catalog in self.catalogs)

    @property
    def size_bytes(self) -> int:
        return sum(catalog.size_bytes for catalog in self.catalogs)

    def sources_since(self, sequence: int) -> set[str]:
        """Return the source objects that began or ceased to count after a sequence."""
        return self.uploads.changed_since(sequence)

    def ceased_since(self, sequence: int) -> set[str]:
        """Return those of them that did more than to arrive: they ceased to count, or came back."""
        return self.uploads.ceased_since(sequence)


async def open_snapshot(
    ledger: Ledger,
    head: int,
    workspace: Workspace,
    contract: Contract,
    limits: TransformLimits = DEFAULT_LIMITS,
    *,
    since: int = 0,
    with_index: bool = True,
) -> Snapshot:
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
        StoreError: The ledger cannot be read, after retries.
    """
    in_force = await contract_at(ledger, head, contract)
    contract = in_force.contract
    history = await read_history(
        ledger, head, workspace, in_force, since=since, replaces_file=contract.replaces_file
    )
    tables = {}
    for name in ("orders", "order_items", "products"):
        dataset = contract.datasets[name]
        cache = FileCache(dataset, workspace, contract)
        tables[name] = FileTable(dataset, cache, limits, history.rows, history.places)
    orders, items, products = tuple(map(Catalog, tables.values()))
    if with_index and contract.shop is None:
        await use_index(ledger, workspace, indexed_columns(contract), tables.values())
    if with_index and any(len(table) > limits.unindexed_files for table in tables.values()):
        await use_packs(workspace, in_force.erasures.generation, tables.values())
    return Snapshot(history=history, orders=orders, items=items, products=products)


async def use_index(
    ledger: Ledger, workspace: Workspace, columns: IndexedColumns, tables: Collection[FileTable]
) -> None:
    """Let look-ups in the files of some datasets use the key index, where there is one.

    Args:
        ledger: Has the secret under which ids are hashed.
        workspace: Where the index is.
        columns: Those that have pointers.
        tables: The files; with few of them there is no index.

    Raises:
        StoreError: A store fails after retries.
    """
    if all(len(table) <= table.limits.unindexed_files for table in tables):
        return
    secret = await ledger.erasure_key()
    if secret is None:
        return
    indexed = await open_index(workspace, secret, columns, [Catalog(one) for one in tables])
    if indexed.index.manifest.up_to:
        for table in tables:
            table.index = indexed


async def open_index(
    workspace: Workspace, secret: bytes, columns: IndexedColumns, catalogs: Sequence[Catalog]
) -> IndexedFiles:
    """Open the key index over some clean files; an empty one where there is none of these.

    Args:
        workspace: Where the index is.
        secret: Secret of the ledger, from which the key of the hashes of ids derives.
        columns: Those that have pointers.
        catalogs: The files.

    Raises:
        StoreError: The store fails after retries.
    """

    def identify(up_to: int) -> str:
        found = hmac.new(secret, b"files", hashlib.sha256)
        for catalog in catalogs:
            catalog.with_uncounted().identify(up_to, found.update)
        return found.hexdigest()

    names = [table_name(*column, kind) for column, kind in columns.items()]
    key = hmac.digest(secret, b"key index", hashlib.sha256)[:KEY_BYTES]
    return IndexedFiles(await KeyIndex.open(workspace, key, names, identify), columns)
