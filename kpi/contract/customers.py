"""Find the columns that name a customer. Their bounds are in no ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kpi.contract.shop import Shop

CUSTOMER = "user_id"
"""Role of a customer's id, in contracts of both languages."""


def customer_columns(shop: Shop, dataset: str) -> set[str]:
    """Return the columns of a dataset or reference that name a customer, or lead to one."""
    found = {name for step in customer_steps(shop) if step[0] == dataset for name in step[1:]}
    return found | {CUSTOMER}


def customer_steps(shop: Shop | None) -> list[tuple[str, str, str]]:
    """Return the look-ups from the cell of an order to its customer.

    Returns:
        For each of them the reference, the column that names its row, and the column of its value.
        A reference whose rows are named by several columns is left out.
    """
    orders = None if shop is None else shop.datasets.get("orders")
    if shop is None or orders is None or CUSTOMER not in orders.columns:
        return []
    found = []
    for step in orders.columns[CUSTOMER].via:
        dataset = shop.all_datasets[step.reference]
        key = [name for name in dataset.key if name != dataset.valid_from]
        if dataset.key_by == "columns" and len(key) == 1:
            found.append((step.reference, key[0], step.column))
    return found
