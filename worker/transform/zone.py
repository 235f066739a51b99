"""The clean zone at one state of the ledger: everything that the KPIs are a function of."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

from kpi.contract import Contract
from worker.clean import Workspace
from worker.state import Ledger
from worker.transform.catalog import Catalog, Piece, Shelf

ENTRIES_AT_ONCE = 500
"""Ledger entries held at once: of the others only their clean objects are."""


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

    def since(self, sequence: int) -> set[str]:
        """Source objects that were committed after a sequence and have clean rows."""
        pieces = chain.from_iterable(one.pieces for one in self.catalogs)
        return {piece.source_id for piece in pieces if piece.sequence > sequence}

    @property
    def catalogs(self) -> tuple[Catalog, Catalog, Catalog]:
        return self.orders, self.items, self.products


async def open_zone(ledger: Ledger, head: int, workspace: Workspace, contract: Contract) -> Zone:
    """The clean objects of the ledger's entries up to `head`; each is opened when it is needed.

    Errors: `StoreError`, after retries.
    """
    names = ("orders", "order_items", "products")
    shelves = {name: Shelf(contract.datasets[name], workspace, contract) for name in names}
    pieces: dict[str, list[Piece]] = {name: [] for name in names}
    for after in range(0, head, ENTRIES_AT_ONCE):
        up_to = min(after + ENTRIES_AT_ONCE, head)
        for entry in await ledger.entries(after=after, up_to=up_to):
            if entry.verdict == "accepted":
                shelf = shelves[entry.dataset]
                pieces[entry.dataset] += [Piece(entry, part, shelf) for part in entry.parts]
    for of_dataset in pieces.values():
        # Parts of one entry stay as they are: the sort is stable.
        of_dataset.sort(key=lambda piece: piece.order)
        for rank, piece in enumerate(of_dataset):
            piece.rank = rank
    orders, items, products = (Catalog(contract.datasets[name], pieces[name]) for name in names)
    return Zone(contract=contract, orders=orders, items=items, products=products)
