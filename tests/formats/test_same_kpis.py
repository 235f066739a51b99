"""The same rows in any format give the same KPIs, receipts and places of rejects."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.formats.writers import (
    Rows,
    as_csv,
    as_json_lines,
    as_json_list,
    as_parquet,
    as_workbook,
    as_zip,
)
from tests.language.contracts import HEAD
from tests.language.files import File
from tests.language.product import Outcome, run
from tests.support.profiles import examples
from worker.validate.stream import DEFAULT_BLOCK_SIZES, BlockSizes

CONTRACT = (
    HEAD
    + """
currency = "EUR"
[[files]]
match = "sales*"
feeds = ["orders", "order_items"]
only.order_items = { Type = "!Fee" }
FORMS
[orders]
version = "Changed"
excluded = { status = "void" }
returned = { status = "back" }
[orders.columns]
order_id = "Order"
created_at = "Date"
user_id = "User"
status = "Status"
Changed = "Changed"
currency = "Currency"
[order_items]
key = "row"
[order_items.columns]
order_id = "Order"
product_id = "SKU"
category = "Type"
quantity = "Qty"
unit_price = "Price"
discount = "Off"
"""
)
NUMBERS = ("Qty", "Price", "Off", "Changed")

FORMATS: dict[str, Callable[[Rows], bytes]] = {
    "sales.jsonl": lambda rows: as_json_lines(rows, NUMBERS),
    "sales-texts.jsonl": as_json_lines,
    "sales.json": lambda rows: as_json_list(rows, NUMBERS),
    "sales.parquet": lambda rows: as_parquet(rows, NUMBERS),
    "sales-texts.parquet": as_parquet,
    "sales.xlsx": as_workbook,
    "sales.zip": lambda rows: as_zip({"deep/sales.csv": as_csv(rows)}),
    "sales-json.zip": lambda rows: as_zip({"sales.json": as_json_list(rows, NUMBERS)}),
}
FIRST_ROW = {name: 2 if name in ("sales.xlsx", "sales.zip") else 1 for name in FORMATS}
"""Format -> number of the first row, as who looks for it counts; that of CSV is 2."""


def _choose(*options: str) -> st.SearchStrategy[str]:
    return st.sampled_from(options)


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "Order": _choose("1", "2", "007", "x y", ""),
            "Date": _choose("2025-03-01", "2025-03-02 10:00:00", "2025-03-01T23:00:00Z", "never"),
            "User": _choose("u1", "é", "", '"q"'),
            "Status": _choose("paid", "VOID", "back", ""),
            "Changed": _choose("1", "2", "", "10"),
            "Currency": _choose("EUR", "EUR", "USD", ""),
            "SKU": _choose("A", "1.10", "0012345678901234567890", ""),
            "Type": _choose("Toys", "Fee", "a,b;c\t|", "two\nlines", ""),
            "Qty": _choose("1", "2.5", "-1", "", "0.001"),
            "Price": _choose("19.99", "0.00005", "123456789.1234", "5", "", "much"),
            "Off": _choose("0", "0.5", "", "1.25"),
        }
    ),
    min_size=1,
    max_size=12,
)


def publish(
    home: Path, contract: str, name: str, data: bytes, sizes: BlockSizes = DEFAULT_BLOCK_SIZES
) -> Outcome:
    file = File(name, data.decode("latin-1"), 0)
    return run(home, contract, [file], block_sizes=sizes, encoding="latin-1")


def receipt(outcome: Outcome) -> dict[str, Any]:
    (entry,) = outcome.entries.values()
    return {
        "verdict": entry.verdict,
        "read": entry.rows_read,
        "clean": entry.rows_clean,
        "passed over": entry.rows_passed_over,
        "reasons": entry.reasons,
        "feeds": {
            name: (feed.clean, feed.rejected, feed.passed_over, feed.notes)
            for name, feed in entry.feeds.items()
        },
    }


def rejected_rows(home: Path, outcome: Outcome, first: int) -> list[tuple[int, list[str]]]:
    (entry,) = outcome.entries.values()
    return [
        # The column of a sheet or member is named behind it.
        (
            row["row"] - first,
            sorted(f"{one['reason']} {one['column'].split(': ')[-1]}" for one in row["reasons"]),
        )
        for key in entry.rejects
        for row in pq.read_table(home / "ws" / key).to_pylist()
    ]


def without_files(rows: Mapping[Any, dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    return {key: {**row, "as_of": None} for key, row in rows.items()}


@pytest.mark.slow
@given(ROWS, st.integers(30, 4000))
@examples(0.2)
def test_any_rows_are_the_same_in_every_format(rows: Rows, block_bytes: int) -> None:
    contract = CONTRACT.replace("FORMS", "") + "[limits]\nmax_reject_rate = 1\n"
    sizes = BlockSizes(block_bytes=block_bytes, overlap_bytes=0)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        wanted = publish(home / "csv", contract, "sales.csv", as_csv(rows), sizes)
        places = rejected_rows(home / "csv", wanted, 2)
        is_one_line = all("\n" not in row["Type"] for row in rows)
        for name, write in FORMATS.items():
            got = publish(home / name, contract, name, write(rows), sizes)
            assert receipt(got) == receipt(wanted), name
            assert without_files(got.orders) == without_files(wanted.orders), name
            assert without_files(got.categories) == without_files(wanted.categories), name
            found = rejected_rows(home / name, got, FIRST_ROW[name])
            if is_one_line and not name.endswith(".zip"):
                assert found == places, name


def _members(rows: Rows, at: int) -> dict[str, bytes]:
    return {"sales-a.csv": as_csv(rows[:at]), "sales-b.jsonl": as_json_lines(rows[at:], NUMBERS)}


def test_rows_divided_among_members_are_those_of_one_file(tmp_path: Path) -> None:
    rows = some_rows()
    contract = CONTRACT.replace("FORMS", "")
    wanted = publish(tmp_path / "csv", contract, "sales.csv", as_csv(rows))
    got = publish(tmp_path / "zip", contract, "sales.zip", as_zip(_members(rows, 2)))
    assert without_files(got.orders) == without_files(wanted.orders)
    assert receipt(got) == receipt(wanted)


@pytest.mark.parametrize("name", ["sales.jsonl", "sales.json", "sales.parquet", "sales.xlsx"])
def test_typed_numbers_need_no_form(tmp_path: Path, name: str) -> None:
    """A contract says how texts are written; a number of JSON, Parquet or Excel has one form."""
    rows = some_rows()
    contract = CONTRACT.replace("FORMS", 'numbers = "1.234,50"')
    write = FORMATS[name] if name != "sales.xlsx" else lambda rows: as_workbook(rows, NUMBERS)
    got = publish(tmp_path / "typed", contract, name, write(rows))
    wanted = publish(tmp_path / "csv", CONTRACT.replace("FORMS", ""), "sales.csv", as_csv(rows))
    assert without_files(got.orders) == without_files(wanted.orders)


def some_rows() -> Sequence[Mapping[str, str]]:
    def row(order: str, **cells: str) -> dict[str, str]:
        return {
            "Order": order,
            "Date": "2025-03-01",
            "User": "u",
            "Status": "",
            "Changed": "",
            "Currency": "",
            "SKU": "A",
            "Type": "T",
            "Qty": "1",
            "Price": "2.5",
            "Off": "0.5",
            **cells,
        }

    return [row("1"), row("2", Price="1000.25"), row("3", Qty="2.5"), row("4", Off="")]
