"""Rows of totals among those of a file are neither orders nor rejects."""

from __future__ import annotations

from kpi.inference.contract import infer_contract
from kpi.inference.samples import TableSample
from kpi.inference.text_files import sample_text
from tests.unit.kpi.inference.shop_samples import shop_of

HEAD = "order_id,order_date,article,qty,amount"
AMOUNTS = [5 * (1 + at % 7) for at in range(24)]


def row(at: int) -> str:
    return f"{100 + at},2025-03-{1 + at // 4:02},A{at % 5},{1 + at % 3},{AMOUNTS[at]}.50"


def read(*records: str) -> TableSample:
    text = "\n".join((HEAD, *records)) + "\n"
    found = sample_text("till.csv", "till*.csv", text.encode(), whole=True)
    assert found is not None
    return found


ROWS = [row(at) for at in range(24)]
TOTAL = sum(AMOUNTS) + 12


def test_a_total_below_all_rows_is_passed_over() -> None:
    sample = read(*ROWS, "", f"Zzz,,,,{TOTAL}.00")
    assert sample.rows == 24
    (condition,) = shop_of(infer_contract([sample], {})).files[0].only["orders"]
    assert {name: one.texts for name, one in condition.items()} == {"order_date": ("*",)}


def test_a_total_of_each_day_is_passed_over() -> None:
    records = []
    for day in range(6):
        part = sum(AMOUNTS[4 * day : 4 * day + 4]) + 2
        records += [*ROWS[4 * day : 4 * day + 4], f",2025-03-{1 + day:02},Zzz,,{part}.00"]
    sample = read(*records)
    assert sample.rows == 24
    assert sample.only == {"order_id": "*"}


def test_totals_with_all_cells_of_other_rows_are_told_by_their_label() -> None:
    sample = read(*ROWS, f"Zzz 2025,,,,{TOTAL}.00", f"Zzz ever,,,,{TOTAL}.00")
    assert sample.only == {"order_date": "*"}
    blank = [one.replace("2025-03-06", "") for one in ROWS]
    blank = [one.replace(",A0,", ",,").replace(",1,", ",,") for one in blank]
    labelled = read(*blank, f"Zzz 2025,,,,{TOTAL}.00", f"Zzz ever,,,,{TOTAL}.00")
    assert labelled.only == {"order_id": "!Zzz*"}


def test_a_last_row_that_is_no_sum_is_a_row() -> None:
    sample = read(*ROWS, f"999,,,,{TOTAL + 5}.00")
    assert (sample.rows, sample.only) == (25, {})


def test_lines_below_the_first_of_their_order_are_no_totals() -> None:
    records = [
        one if at % 3 == 0 else f"{100 + at // 3 * 3},,A{at % 5},,{AMOUNTS[at]}.50"
        for at, one in enumerate(ROWS)
    ]
    assert read(*records).only == {}
