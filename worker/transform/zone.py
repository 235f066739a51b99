"""The clean zone at one state of the ledger: everything that the KPIs are a function of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kpi.contract import Contract
from worker.clean import Workspace
from worker.state import Entry
from worker.transform.catalog import Catalog


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
        return sum(piece.part.size_bytes for one in self.catalogs for piece in one.pieces)

    @property
    def catalogs(self) -> tuple[Catalog, Catalog, Catalog]:
        return self.orders, self.items, self.products


def open_zone(entries: Iterable[Entry], workspace: Workspace, contract: Contract) -> Zone:
    """The clean objects of a ledger state; each is opened when it is needed."""
    accepted = [entry for entry in entries if entry.verdict == "accepted"]
    orders, items, products = (
        Catalog.of(contract.datasets[name], accepted, workspace, contract)
        for name in ("orders", "order_items", "products")
    )
    return Zone(contract=contract, orders=orders, items=items, products=products)
