"""The clean zone at one state of the ledger: everything that the KPIs are a function of."""

from __future__ import annotations

from dataclasses import dataclass

from kpi.contract.model import Contract
from worker.clean import Workspace
from worker.state import Ledger
from worker.state.paging import entries_in_pages
from worker.transform.catalog import Catalog, Register
from worker.transform.file_cache import Shelf


@dataclass(frozen=True, kw_only=True)
class Zone:
    """The clean objects of each dataset, from the earliest version to the latest."""

    contract: Contract
    orders: Catalog
    items: Catalog
    products: Catalog

    @property
    def bytes_read(self) -> int:
        return self.orders.bytes_read + self.items.bytes_read + self.products.bytes_read

    @property
    def size_bytes(self) -> int:
        return sum(one.size_bytes for one in self.catalogs)

    def since(self, sequence: int) -> set[str]:
        """Source objects that were committed after a sequence and have clean rows."""
        return set().union(*(one.since(sequence).source_ids for one in self.catalogs))

    @property
    def catalogs(self) -> tuple[Catalog, Catalog, Catalog]:
        return self.orders, self.items, self.products


async def open_zone(ledger: Ledger, head: int, workspace: Workspace, contract: Contract) -> Zone:
    """The clean objects of the ledger's entries up to `head`; each is opened when it is needed.

    Errors: `StoreError`, after retries.
    """
    names = ("orders", "order_items", "products")
    registers = {
        name: Register(contract.datasets[name], Shelf(contract.datasets[name], workspace, contract))
        for name in names
    }
    async for entries in entries_in_pages(ledger, head):
        for name, register in registers.items():
            register.add(one for one in entries if (one.dataset, one.verdict) == (name, "accepted"))
    for register in registers.values():
        register.close()
    orders, items, products = (Catalog(registers[name]) for name in names)
    return Zone(contract=contract, orders=orders, items=items, products=products)
