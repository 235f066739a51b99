"""Find the columns of clean rows that name a customer."""

from __future__ import annotations

from collections.abc import Collection

from kpi.contract.model import ROLES, Contract, Dataset
from kpi.erasure.rows import Places

CUSTOMER = "user_id"
"""Role of a customer's id, in contracts of both languages."""

ORDER, CREATED = "order_id", "created_at"

DATASETS_OF_CUSTOMERS = ("orders", "order_items", "refunds")
"""Datasets whose rows belong to a customer, by their own column or by their order."""


def places_of(dataset: str, columns: Collection[str], contract: Contract | None = None) -> Places:
    """Find where the clean rows of a dataset name a customer.

    Args:
        dataset: Name of the dataset, or of a reference.
        columns: Names of the columns that the rows have.
        contract: Contract of the rows, if known. One of language 2 keeps no free texts.
    """
    if dataset not in DATASETS_OF_CUSTOMERS:
        return Places()
    described = contract.datasets.get(dataset) if contract is not None else None
    return Places(
        customers=(CUSTOMER,) if CUSTOMER in columns else (),
        order=ORDER if ORDER in columns else None,
        created=CREATED if CREATED in columns else None,
        texts=() if described is None else _texts(described, columns),
    )


def _texts(dataset: Dataset, columns: Collection[str]) -> tuple[str, ...]:
    read = {*ROLES[dataset.name], *dataset.key, dataset.version}
    return tuple(
        name
        for name, column in dataset.columns.items()
        if column.type == "string" and name in columns and name not in read
    )
