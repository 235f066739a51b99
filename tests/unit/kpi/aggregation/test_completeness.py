"""States of days: never final while something is known to lack, and never otherwise not."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi.aggregation.completeness import Evidence, day_states, has_no_items, shown_row
from kpi.aggregation.tables import ORDER_KPIS

DAY = date(2026, 11, 26)

ORDERS = st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 3)), st.integers(0, 4)), min_size=1)
"""What each order promises, and the items of it that have come."""

COUNTS = st.dictionaries(st.sampled_from([DAY, DAY + timedelta(1)]), st.integers(0, 2))


def row_of(orders: list[tuple[int | None, int]]) -> dict[str, str | int | None]:
    """The row of a day, as it is published."""
    promised = [(promise, came) for promise, came in orders if promise is not None]
    row: dict[str, str | int | None] = {
        "order_date": DAY.isoformat(),
        "total_orders": len(orders),
        "total_revenue": "0.00",
        "total_items_sold": sum(came for _, came in orders),
        "orders_without_promise": len(orders) - len(promised),
        "orders_without_items": sum(not came for _, came in orders),
    }
    if promised:
        row["items_expected"] = sum(promise for promise, _ in promised)
        row["items_missing"] = sum(max(promise - came, 0) for promise, came in promised)
    return row


@given(ORDERS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, st.booleans())
def test_a_day_is_final_exactly_where_nothing_lacks(
    orders: list[tuple[int | None, int]],
    rejected: dict[date, int],
    waiting: dict[date, int],
    refused: dict[date, int],
    late: dict[date, int],
    doubtful: dict[date, int],
    undated: dict[date, int],
    expects: bool,
) -> None:
    evidence = Evidence(
        rejected_rows=rejected,
        waiting_items=waiting,
        refused_files=refused,
        late_files=late,
        doubtful_files=doubtful,
        undated_rows=undated,
        expects_files=expects,
    )
    found = day_states([row_of(orders)], evidence)[DAY]
    is_short = any(promise is not None and came < promise for promise, came in orders)
    is_empty = any(promise is None and not came for promise, came in orders)
    of_files = [counts.get(DAY, 0) for counts in (rejected, waiting, refused, late)]
    is_silent = any(promise is None for promise, _ in orders) and not expects
    is_silent = is_silent or undated.get(DAY, 0) > 0
    if is_short or any(of_files) or (all(promise is None for promise, _ in orders) and is_empty):
        assert found.state == "provisional"
    # Beside an order that says nothing, one that promises none may be the one without items.
    elif all(came for _, came in orders) or all(promise is not None for promise, _ in orders):
        wanted = "suspect" if doubtful.get(DAY) else "unverified" if is_silent else "final"
        assert found.state == wanted
    assert (found.state == "final") == (not found.reasons)
    assert bool(found.why) == bool(found.reasons)
    assert (found.rejected_rows, found.waiting_items) == (of_files[0], of_files[1])


@given(ORDERS)
def test_money_is_shown_where_an_item_has_come_or_none_is_to_come(
    orders: list[tuple[int | None, int]],
) -> None:
    row = row_of(orders)
    has_items = any(came for _, came in orders) or all(promise == 0 for promise, _ in orders)
    assert has_no_items(row) == (not has_items)
    shown = shown_row(row, day_states([row])[DAY], ORDER_KPIS.attributes)
    assert shown["total_revenue"] == ("0.00" if has_items else None)
    assert shown["items_arrived"] == row["total_items_sold"]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({}, "2 orders of a contract or release that does not count items"),
        ({"orders_without_promise": 1, "orders_without_items": 0}, "1 order does not say"),
    ],
)
def test_unverified_says_why(row: dict[str, int], why: str) -> None:
    found = day_states([{"order_date": DAY.isoformat(), "total_orders": 2, **row}])[DAY]
    assert found.state == "unverified"
    assert why in found.why
