"""The clean zone at one ledger sequence: everything that the KPIs are a function of."""

from __future__ import annotations

from dataclasses import dataclass

from kpi.contract.model import Contract
from worker.clean import Workspace
from worker.state import Ledger
from worker.state.paging import entries_in_pages
from worker.transform.catalog import Catalog
from worker.transform.file_cache import FileCache
from worker.transform.file_table import FileTable
from worker.transform.limits import DEFAULT_LIMITS, TransformLimits


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The clean files of each dataset, from the earliest version to the latest."""

    contract: Contract
    orders: Catalog
    items: Catalog
    products: Catalog

    @property
    def catalogs(self) -> tuple[Catalog, Catalog, Catalog]:
        return self.orders, self.items, self.products

    @property
    def bytes_read(self) -> int:
        return sum(catalog.bytes_read for catalog in self.catalogs)

    @property
    def size_bytes(self) -> int:
        return sum(catalog.size_bytes for catalog in self.catalogs)

    def sources_since(self, sequence: int) -> set[str]:
        """Return the source objects with clean rows that were committed after a sequence."""
        return set().union(*(catalog.since(sequence).source_ids for catalog in self.catalogs))


async def open_snapshot(
    ledger: Ledger,
    head: int,
    workspace: Workspace,
    contract: Contract,
    limits: TransformLimits = DEFAULT_LIMITS,
) -> Snapshot:
    """List the clean files of the ledger's entries up to `head`; each is opened on first use.

    Raises:
        StoreError: The ledger cannot be read, after retries.
    """
    tables = {}
    for name in ("orders", "order_items", "products"):
        dataset = contract.datasets[name]
        tables[name] = FileTable(dataset, FileCache(dataset, workspace, contract), limits)
    async for entries in entries_in_pages(ledger, head):
        for name, table in tables.items():
            table.add(one for one in entries if (one.dataset, one.verdict) == (name, "accepted"))
    for table in tables.values():
        table.close()
    orders, items, products = map(Catalog, tables.values())
    return Snapshot(contract=contract, orders=orders, items=items, products=products)
