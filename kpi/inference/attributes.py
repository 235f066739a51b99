"""Columns that say something of a customer or a place, such as its state: no status of an order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from kpi.inference.customers import determines
from kpi.inference.statuses import is_known_status
from kpi.inference.tables import Table
from kpi.inference.values import Column

MIN_AGAIN = 5
"""Customers or places with several orders that are evidence."""

MAX_CHANCE = 0.8
"""Chance that two orders have one value, above which it tells nothing that they do."""


def is_attribute(column: Column, orders: Table, order_id: Column, customer: Column | None) -> bool:
    """Whether each customer, or each place, has one value of a column of orders.

    A state of the United States has one value for each city; a status of an order has not.
    """
    if any(map(is_known_status, column.distinct)):
        return False
    firsts = _first_rows(order_id)
    values = [column.cells[at] for at in firsts]
    if _chance(values) > MAX_CHANCE:
        return False
    for other in orders.columns:
        is_owner = other is customer or "other_entity" in other.meaning
        if not is_owner or other is column or other is order_id:
            continue
        if other.kind not in ("integer", "text") or len(other.distinct) < len(column.distinct):
            continue
        owners = [other.cells[at] for at in firsts]
        again = Counter(one for one, value in zip(owners, values, strict=True) if one and value)
        several = {one for one, count in again.items() if count > 1}
        kept = [one if one in several else "" for one in owners]
        if len(several) >= MIN_AGAIN and determines(kept, values):
            return True
    return False


def _first_rows(order_id: Column) -> list[int]:
    """Find the number of each order's first row."""
    first: dict[str, int] = {}
    for at, key in enumerate(order_id.cells):
        if key:
            first.setdefault(key, at)
    return list(first.values())


def _chance(values: Sequence[str]) -> float:
    counts = Counter(one for one in values if one)
    total = sum(counts.values())
    return sum((one / total) ** 2 for one in counts.values()) if total else 1.0
