"""Say of each day whether its numbers are complete, and why not.

A state is a function of the published row and of what is known of the files. It is never stored: a
late file would change rows whose numbers it leaves as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from kpi.aggregation.tables import ORDER_KPIS

State = Literal["final", "provisional", "suspect", "unverified"]
"""States of a day.

- *final*: each order has the items that it promises, and no file or row of the day lacks.
- *provisional*: something of the day is known to lack.
- *suspect*: all of it has come, and a file of the day may be meant otherwise than it was read.
- *unverified*: nothing is known to lack, but a rejected row of a file that has rows of the day may
  be of it; or not every order promises items, and the contract does not say which files are
  expected.
"""

Cell = str | int | Decimal | None
Counts = Mapping[date, int]

LACKING: Mapping[str, tuple[str, str]] = {
    "items_missing": ("item missing", "items missing"),
    "orders_without_items": ("order without items", "orders without items"),
    "refused_files": ("refused file", "refused files"),
    "rejected_rows": ("rejected row", "rejected rows"),
    "waiting_items": ("waiting item", "waiting items"),
    "late_files": ("late file", "late files"),
    "awaited_files": ("file still to come", "files still to come"),
}
"""Reason why a day is provisional -> its words for one and for more."""

UNDATED: Mapping[str, tuple[str, str]] = {
    "undated_rows": (
        "rejected row without a date in a file of the day",
        "rejected rows without a date in files of the day",
    ),
}
"""Reason why a day is unverified, whatever else is known of it."""

DOUBTFUL = {"doubtful_files": ("doubtful file", "doubtful files")}
"""Reason why a day is suspect."""

UNKNOWN = {
    "orders_without_promise": (
        "order does not say how many items it has",
        "orders do not say how many items they have",
    ),
    "orders_not_checked": (
        "order of a contract or release that does not count items",
        "orders of a contract or release that does not count items",
    ),
}
"""Reason why a day is unverified."""

_WORDS = {**LACKING, **DOUBTFUL, **UNDATED, **UNKNOWN}

MONEY_OF_ITEMS = tuple(
    name for name, kind in ORDER_KPIS.kinds.items() if kind == "money" and name != "refunds"
)
"""Attributes that are money of items: not known where none has come."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known of the files of days, beside the published rows.

    Attributes:
        rejected_rows: Rejected rows of each day.
        undated_rows: Rejected rows without a date in the files of several days that each day is in.
        waiting_items: Items of each day whose order has not come.
        refused_files: Refused files of each day.
        late_files: Files of each day that the contract expects and that are past due.
        awaited_files: Files of each day that the contract expects and that are not due yet.
        doubtful_files: Files of each day that may be meant otherwise than they were read.
        expects_files: Whether the contract says which files are expected.
    """

    rejected_rows: Counts = field(default_factory=dict)
    undated_rows: Counts = field(default_factory=dict)
    waiting_items: Counts = field(default_factory=dict)
    refused_files: Counts = field(default_factory=dict)
    late_files: Counts = field(default_factory=dict)
    awaited_files: Counts = field(default_factory=dict)
    doubtful_files: Counts = field(default_factory=dict)
    expects_files: bool = False


NO_EVIDENCE = Evidence()


@dataclass(frozen=True, kw_only=True)
class DayState:
    """Whether the numbers of a day are complete.

    Attributes:
        state: The state.
        reasons: Reason -> how many; empty where the day is final.
        rejected_rows: Rejected rows of the day.
        waiting_items: Its items whose order has not come.
    """

    state: State
    reasons: Mapping[str, int]
    rejected_rows: int
    waiting_items: int

    @property
    def why(self) -> str:
        """Say the reasons in words; empty where there is none."""
        return ", ".join(
            f"{count:,} {_WORDS[name][count != 1]}" for name, count in self.reasons.items()
        )


def day_states(
    rows: Iterable[Mapping[str, Cell]], evidence: Evidence = NO_EVIDENCE
) -> dict[date, DayState]:
    """Return the state of each day that has a row.

    Args:
        rows: Rows of `order_kpis`.
        evidence: What is known of the files.
    """
    return {
        date.fromisoformat(str(row[ORDER_KPIS.partition_key])): _state(row, evidence)
        for row in rows
    }


def shown_row(
    row: Mapping[str, Cell],
    state: DayState,
    names: Iterable[str],
    *,
    published_at: datetime | None = None,
) -> dict[str, Cell]:
    """Return a row of `order_kpis` as it is shown: with its state, and without money of no items.

    Four orders whose items have not come have no revenue that is known: 0.00 would be a number.

    Args:
        row: The row.
        state: State of its day.
        names: KPI attributes to show, in their order. What was not always printed follows them.
        published_at: When the day was published last; None where that is unknown.
    """
    known = dict(row)
    if has_no_items(row):
        known |= dict.fromkeys(MONEY_OF_ITEMS)
    return {
        **{name: known.get(name) for name in names},
        "state": state.state,
        "items_expected": row.get("items_expected"),
        "items_arrived": row.get("total_items_sold"),
        "items_missing": row.get("items_missing"),
        "orders_without_promise": row.get("orders_without_promise"),
        "orders_without_items": row.get("orders_without_items"),
        "waiting_items": state.waiting_items,
        "rejected_rows": state.rejected_rows,
        "as_of": row.get("as_of"),
        "published_at": None if published_at is None else published_at.isoformat(),
        "why": state.why or None,
    }


def has_no_items(row: Mapping[str, Cell]) -> bool:
    """Return whether no order of a day has items, and not all of them promise to have none."""
    orders = _count(row, "total_orders")
    is_promised = _count(row, "items_missing") > 0 or _count(row, "orders_without_promise") > 0
    return orders > 0 and _count(row, "orders_without_items") == orders and is_promised


def _state(row: Mapping[str, Cell], evidence: Evidence) -> DayState:
    day = date.fromisoformat(str(row[ORDER_KPIS.partition_key]))
    silent = _count(row, "orders_without_promise")
    is_counted = row.get("orders_without_promise") is not None
    lacking = {
        "items_missing": _count(row, "items_missing"),
        # Of an order that promises items, the missing ones say it; one may promise none.
        "orders_without_items": min(_count(row, "orders_without_items"), silent),
        "refused_files": evidence.refused_files.get(day, 0),
        "rejected_rows": evidence.rejected_rows.get(day, 0),
        "waiting_items": evidence.waiting_items.get(day, 0),
        "late_files": evidence.late_files.get(day, 0),
        "awaited_files": evidence.awaited_files.get(day, 0),
    }
    doubtful = {"doubtful_files": evidence.doubtful_files.get(day, 0)}
    undated = {"undated_rows": evidence.undated_rows.get(day, 0)}
    unknown = {
        "orders_without_promise": silent,
        "orders_not_checked": 0 if is_counted else _count(row, "total_orders"),
    }
    every: tuple[tuple[State, Mapping[str, int]], ...] = (
        ("provisional", lacking),
        ("suspect", doubtful),
        ("unverified", undated if evidence.expects_files else undated | unknown),
    )
    state, reasons = next(
        ((name, counts) for name, counts in every if any(counts.values())), ("final", {})
    )
    return DayState(
        state=state,
        reasons={name: count for name, count in reasons.items() if count},
        rejected_rows=lacking["rejected_rows"],
        waiting_items=lacking["waiting_items"],
    )


def _count(row: Mapping[str, Cell], name: str) -> int:
    value = row.get(name)
    return value if isinstance(value, int) else 0
