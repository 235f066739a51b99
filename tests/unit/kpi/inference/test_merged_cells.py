"""Orders that are named on their first row alone: merged cells, and what the trial refuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from kpi.contract.loading import parse_contract
from kpi.inference.contract import infer_contract
from kpi.inference.questions import NotInferableError
from kpi.inference.samples import TableSample

ORDERS = 12


def report(**changed: Sequence[str]) -> dict[str, Sequence[str]]:
    """Two lines an order, of which the first has what belongs to the order."""
    columns: Mapping[str, Sequence[str]] = {
        "Order": [cell for at in range(ORDERS) for cell in (f"A{at}", "")],
        "Date": [cell for at in range(ORDERS) for cell in (f"2024-05-{at + 1:02}", "")],
        "Buyer": [cell for at in range(ORDERS) for cell in (f"K{at % 5}", "")],
        "SKU": [f"P{at % 7}" for at in range(2 * ORDERS)],
        "Qty": [str(at % 3 + 1) for at in range(2 * ORDERS)],
        "Unit price": [f"{at % 7 + 1}.50" for at in range(2 * ORDERS)],
        "Grand total": [cell for at in range(ORDERS) for cell in (f"{at + 90}.00", "")],
    }
    return {**columns, **changed}


def sample(columns: Mapping[str, Sequence[str]]) -> TableSample:
    return TableSample(
        name="report.csv",
        match="report.csv",
        headers=tuple(columns),
        columns=tuple(map(tuple, columns.values())),
    )


def test_orders_named_on_their_first_row_are_merged_cells() -> None:
    text = infer_contract([sample(report())], {}).text
    assert 'merged = ["Order", "Date"]' in text
    assert 'fill = "Order"' in text
    assert parse_contract(text, source="t").shop is not None


def test_an_amount_on_first_rows_alone_is_of_the_order() -> None:
    text = infer_contract([sample(report())], {}).text
    assert 'unit_price = "Unit price"' in text
    assert "Grand total" not in text


def test_a_row_of_totals_is_no_line_of_the_order_above() -> None:
    columns = {name: [*cells, ""] for name, cells in report().items()}
    columns["SKU"][-1], columns["Unit price"][-1] = "Total", "999.00"
    with pytest.raises(NotInferableError):
        infer_contract([sample(columns)], {})


def test_orders_on_each_row_are_no_merged_cells() -> None:
    orders = [f"A{at // 2}" for at in range(2 * ORDERS)]
    text = infer_contract([sample(report(Order=orders))], {}).text
    assert "merged" not in text


def test_numbers_that_begin_anew_each_day_are_merged_with_it() -> None:
    orders = [cell for at in range(ORDERS) for cell in (str(at % 2 + 1), "")]
    days = [cell for at in range(ORDERS) for cell in (f"2024-05-{at // 2 + 1:02}", "")]
    text = infer_contract([sample(report(Order=orders, Date=days))], {}).text
    assert 'merged = ["Order", "Date"]' in text
    assert 'order_id = { join = ["Date", "Order"] }' in text


@pytest.mark.parametrize("blank", [3, 10])
def test_a_contract_that_a_run_would_refuse_is_not_proposed(blank: int) -> None:
    """The rows without an order have a date of their own, and may be anything."""
    orders = [f"A{at}" if at % 24 >= blank else "" for at in range(2 * ORDERS)]
    days = [f"2024-05-{at + 1:02}" for at in range(2 * ORDERS)]
    with pytest.raises(NotInferableError, match=f"{blank} of 24 rows of report.csv are no orders"):
        infer_contract([sample(report(Order=orders, Date=days))], {})
