"""What tests of the rules share: two days, and the row of one."""

from __future__ import annotations

from typing import Any

DAY, NEXT = "2025-03-01", "2025-03-02"


def row(outcome: Any, day: str = DAY) -> dict[str, Any]:
    """Return the KPI row of a day."""
    found: dict[str, Any] = outcome.orders[day]
    return found
