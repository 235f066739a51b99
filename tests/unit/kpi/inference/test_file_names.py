"""Days that stand in the names of files, and numbers of orders that begin anew each day."""

from __future__ import annotations

import pytest

from kpi.contract.loading import parse_contract
from kpi.inference.contract import infer_contract
from kpi.inference.file_names import find_dates
from kpi.inference.samples import TableSample


@pytest.mark.parametrize(
    ("names", "pattern", "dates"),
    [
        (["till_20250304.csv"], "till_{date}.csv", ("20250304",)),
        (["a/2025-03-04/r.csv", "a/2025-03-05/r.csv"], "{date}/r.csv", None),
        (["t 04.03.2025-7.csv.gz", "t 05.03.2025-8.csv"], "t {date}-*.csv", None),
        (["2025-01-01/d_2025_03_04.csv"], "d_{date}.csv", ("2025_03_04",)),
    ],
)
def test_a_date_in_names_is_found(
    names: list[str], pattern: str, dates: tuple[str, ...] | None
) -> None:
    found = find_dates(names)
    assert found is not None
    assert found.pattern == pattern
    assert dates is None or found.dates == dates


@pytest.mark.parametrize(
    "names",
    [
        ["orders.csv"],
        ["till_20251345.csv"],  # no month of 13
        ["till_202503041.csv"],
        ["till_20250304.csv", "till.csv"],
        ["till_20250304.csv", "cash_20250305.csv"],
    ],
)
def test_other_names_have_no_date(names: list[str]) -> None:
    assert find_dates(names) is None


def till(*, has_day: bool) -> TableSample:
    """Rows of three days; the numbers of receipts begin with 1 each day."""
    days = ("2025-03-04", "2025-03-05", "2025-03-06")
    rows = [(day, receipt, line) for day in days for receipt in range(1, 6) for line in range(2)]
    columns = {
        "receipt no": [str(receipt) for _, receipt, _ in rows],
        "sku": [f"P{(receipt + line) % 3}" for _, receipt, line in rows],
        "amount": [f"{receipt + line}.50" for _, receipt, line in rows],
    }
    if has_day:
        columns["date"] = [day for day, _, _ in rows]
    return TableSample(
        name=f"till_{days[0]}.csv",
        match="till_*.csv",
        headers=tuple(columns),
        columns=tuple(tuple(cells) for cells in columns.values()),
        parts=tuple((f"till_{day}.csv", 10) for day in days),
    )


@pytest.mark.parametrize("has_day", [True, False])
def test_a_day_and_its_number_are_one_order(has_day: bool) -> None:
    inferred = infer_contract([till(has_day=has_day)], {})
    assert not inferred.questions
    shop = parse_contract(inferred.text, source="test").shop
    assert shop is not None
    day = "date" if has_day else "{date}"
    assert shop.datasets["orders"].columns["order_id"].join == (day, "receipt no")
    assert shop.datasets["orders"].columns["created_at"].headers == (day,)
    assert ('match = "till_{date}.csv"' in inferred.text) is not has_day


@pytest.mark.parametrize("time", ["{} around noon", "on {} at 12:00", "{} ~12h"])
def test_a_day_in_a_name_is_a_question_beside_unread_dates(time: str) -> None:
    rows = [(order, day) for day in (3, 4) for order in range(5)]
    sample = TableSample(
        name="sales_20250502.csv",
        match="sales_*.csv",
        headers=("order id", "sold", "product id", "quantity", "price"),
        columns=(
            tuple(str(100 * day + order) for order, day in rows),
            tuple(time.format(f"{day:02}/03/2025") for _, day in rows),
            tuple(f"P{order}" for order, _ in rows),
            ("1",) * len(rows),
            tuple(f"{order + 1}.50" for order, _ in rows),
        ),
    )
    asked = infer_contract([sample], {})
    assert [one.word for one in asked.questions] == ["date"]
    assert "'sold' of sales_20250502.csv have dates in a form that is not read" in (
        asked.questions[0].text
    )
    answered = infer_contract([sample], {"date": "{date}"})
    assert not answered.questions
    assert 'created_at = "{date}"' in answered.text
