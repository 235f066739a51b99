"""Find the columns of clean rows that name a customer."""

from __future__ import annotations

from collections.abc import Collection

from kpi.contract.customers import CUSTOMER, customer_steps
from kpi.contract.model import ROLES, Contract, Dataset
from kpi.contract.shop import Shop
from kpi.erasure.rows import Places

__all__ = ["CREATED", "CUSTOMER", "DATASETS_OF_CUSTOMERS", "ORDER", "customer_steps", "places_of"]

ORDER, CREATED = "order_id", "created_at"

DATASETS_OF_CUSTOMERS = ("orders", "order_items", "refunds")
"""Datasets whose rows belong to a customer, by their own column or by their order."""

WITHOUT_CUSTOMERS = ("products",)


def places_of(dataset: str, columns: Collection[str], contract: Contract | None) -> Places:
    """Find where the clean rows of a dataset name a customer.

    Args:
        dataset: Name of the dataset, or of a reference.
        columns: Names of the columns that the rows have.
        contract: Contract of the rows; None where it is unknown. Then any column of a reference may
            name a customer.
    """
    if dataset in WITHOUT_CUSTOMERS:
        return Places()
    if dataset not in DATASETS_OF_CUSTOMERS:
        named = columns if contract is None else _of_reference(dataset, contract.shop)
        return Places(customers=tuple(name for name in named if name in columns))
    described = contract.datasets.get(dataset) if contract is not None else None
    return Places(
        customers=(CUSTOMER,) if CUSTOMER in columns else (),
        order=ORDER if ORDER in columns else None,
        created=CREATED if CREATED in columns else None,
        texts=() if described is None else _texts(described, columns),
    )


def _of_reference(dataset: str, shop: Shop | None) -> list[str]:
    """Return the columns of a reference that lead from an order to its customer."""
    return [
        name for reference, *names in customer_steps(shop) if reference == dataset for name in names
    ]


def _texts(dataset: Dataset, columns: Collection[str]) -> tuple[str, ...]:
    read = {*ROLES[dataset.name], *dataset.key, dataset.version}
    return tuple(
        name
        for name, column in dataset.columns.items()
        if column.type == "string" and name in columns and name not in read
    )
