"""Contracts of language 1 in language 2."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

from kpi.contract.model import Column, Contract, Dataset
from kpi.contract.shop import ROLES

EXAMPLE = datetime(2025, 12, 31, 23, 59, 59)
"""What a contract of language 2 gives an example of."""


def to_language_2(contract: Contract) -> str:
    """Write a contract of language 1 in language 2.

    What language 2 has no word for becomes a comment: limits of values and lengths, which reject
    rows. An item without a status is not returned; in language 1 its order's status counts.
    """
    return "\n".join(_lines(contract)) + "\n"


def _lines(contract: Contract) -> Iterator[str]:
    yield "language = 2"
    yield f"name = {_text(contract.name)}"
    yield f"day = {_text(contract.business_time_zone)}"
    if contract.source_time_zone != "UTC":
        yield f"times = {_text(contract.source_time_zone)}"
    yield 'not_before = "0001-01-01"'
    yield 'not_after = "9999-12-31"'
    for dataset in contract.datasets.values():
        yield from _file(contract, dataset)
    for dataset in contract.datasets.values():
        yield from _dataset(contract, dataset)
    yield "[limits]"
    for name in ("max_reject_rate", "max_record_bytes", "max_columns", "max_inflation"):
        yield f"{name} = {getattr(contract, name)}"


def _file(contract: Contract, dataset: Dataset) -> Iterator[str]:
    yield ""
    yield "[[files]]"
    yield f"match = {_text(dataset.folder + '/*')}"
    yield f"feeds = [{_text(dataset.name)}]"
    yield f"delimiter = {_text(contract.delimiter)}"
    if dataset.replaces != "rows":
        yield f"replaces = {_text(dataset.replaces)}"
    blanks = [text for text in contract.null_values if text.strip()]
    if blanks:
        yield f"blanks = {json.dumps(blanks)}"
    forms = {
        form: None
        for column in dataset.columns.values()
        for form in column.formats
        if column.type == "timestamp"
    }
    if forms:
        yield f"dates = {json.dumps([_example(form) for form in forms])}"


def _dataset(contract: Contract, dataset: Dataset) -> Iterator[str]:
    yield ""
    yield f"[{dataset.name}]"
    if dataset.name == "order_items":
        yield f"key = {json.dumps(list(dataset.key))}"
    if dataset.version is not None:
        yield f"version = {_text(dataset.version)}"
    if dataset.name != "products" and "status" in dataset.columns:
        yield f"returned = {{ status = {json.dumps(list(contract.returned), ensure_ascii=False)} }}"
    yield f"[{dataset.name}.columns]"
    for column in dataset.columns.values():
        yield from _column(dataset, column)


def _column(dataset: Dataset, column: Column) -> Iterator[str]:
    name = column.name
    is_read = name in ROLES[dataset.name] or name in ("status", *dataset.key, "sale_price")
    is_read |= name == dataset.version
    if not (column.required or is_read):
        return  # a file without it would be refused
    if dataset.name == "order_items" and name == "sale_price":
        name = "unit_price" if dataset.unit_price else "after_discount"
    elif name in ROLES[dataset.name] and column.name not in _SAME_MEANING[dataset.name]:
        return  # of another meaning in language 2
    headers = [column.name, *column.headers]
    words = [f"from = {json.dumps(headers, ensure_ascii=False)}"]
    if column.required:
        words.append("required = true")
    limits = {
        "min": column.minimum,
        "max": column.maximum,
        "allowed": list(column.allowed) or None,
        "max_bytes": column.max_bytes,
    }
    said = ", ".join(f"{word} = {value}" for word, value in limits.items() if value is not None)
    comment = f"  # language 1: {said}" if said else ""
    yield f"{name} = {{ {', '.join(words)} }}{comment}"


_SAME_MEANING = {
    "orders": {"order_id", "user_id", "created_at"},
    "order_items": {"order_id", "product_id", "quantity"},
    "products": {"id", "category"},
}
"""Columns with a meaning that both languages have."""


def _example(form: str) -> str:
    """Write the last day of 2025 in a format of `strptime`."""
    return EXAMPLE.strftime(form.replace("%z", "")).strip()


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
