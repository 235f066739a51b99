"""Samples of small shops, and what a contract that was inferred from them says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kpi.contract.loading import parse_contract
from kpi.contract.shop import Shop
from kpi.inference.contract import Inferred
from kpi.inference.samples import TableSample

ORDERS = 60
PRICES = (12.5, 40.0, 3.2, 88.8, 7.9, 21.3)
ROWS = [(order, line) for order in range(ORDERS) for line in range(2)]
PRODUCTS = [(order + line) % len(PRICES) for order, line in ROWS]
PIECES = [1 + (3 * order + line) % 4 for order, line in ROWS]


def table_of(columns: Mapping[str, Sequence[object]], name: str = "sales.csv") -> TableSample:
    """Make a sample of columns."""
    return TableSample(
        name=name,
        match=name,
        headers=tuple(columns),
        columns=tuple(tuple(map(str, cells)) for cells in columns.values()),
    )


def flat(**more: Sequence[object]) -> dict[str, Sequence[object]]:
    """Sixty orders of two lines each, without money."""
    return {
        "order_id": [7000 + order for order, _ in ROWS],
        "order_date": [f"2025-03-{1 + order % 28:02}" for order, _ in ROWS],
        "sku": [f"P{product}" for product in PRODUCTS],
        "quantity": PIECES,
        **more,
    }


def shop_of(inferred: Inferred) -> Shop:
    """Load a contract that leaves nothing open."""
    assert not inferred.questions
    shop = parse_contract(inferred.text, source="test").shop
    assert shop is not None
    return shop


def header_of(inferred: Inferred, dataset: str, name: str) -> str:
    """Name the column of a role; empty where the contract has none."""
    columns = shop_of(inferred).datasets[dataset].columns
    return columns[name].headers[0] if name in columns else ""
