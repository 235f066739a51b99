"""Errors in cells of workbooks reject their row where their column is used."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.formats.test_same_kpis import publish
from tests.formats.writers import workbook_of
from tests.language.audited import publish_and_audit
from tests.language.contracts import FILES as CSV_FILES
from tests.language.contracts import HEAD, ITEMS, ORDERS
from tests.support.commands import Shopkpi

FILES = CSV_FILES.replace("sales*.csv", "sales*")
CONTRACT = HEAD + FILES + ORDERS + ITEMS + 'category = "Group"\n[limits]\nmax_reject_rate = 1\n'
HEADER = ("Order", "Date", "SKU", "Qty", "Total", "Group", "Note")
DAY = "2025-03-01"


def cell(place: str, text: str, quote: str) -> str:
    if text.startswith("#"):
        return f"<c r={quote}{place}{quote} s='0' t={quote}e{quote}><v>{text}</v></c>"
    return f'<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>'


def workbook(*rows: str, quote: str = '"') -> bytes:
    body = ""
    for number, cells in enumerate([HEADER, *(row.split(",") for row in rows)], start=1):
        places = [f"{chr(ord('A') + at)}{number}" for at in range(len(cells))]
        shown = "".join(cell(*one, quote) for one in zip(places, cells, strict=True) if one[1])
        body += f'<row r="{number}">{shown}</row>'
    return workbook_of(f"<sheetData>{body}</sheetData>")


ROWS = (
    f"1,{DAY},A,1,5.00,Tea,#N/A",  # a column that nothing reads
    f"2,{DAY},A,1,#REF!,Tea,",
    f"3,{DAY},A,1,7.00,#N/A,",
    f"4,{DAY},#VALUE!,1,9.00,Tea,",
    f"#NAME?,{DAY},A,1,11.00,Tea,",
)


@pytest.mark.parametrize("quote", ['"', "'"])
async def test_an_error_rejects_its_row_where_it_is_read(tmp_path: Path, quote: str) -> None:
    files = [("sales.xlsx", workbook(*ROWS, quote=quote))]
    blind, found = await publish_and_audit(tmp_path, CONTRACT, files)
    assert (blind.differences, found.differences, found.recount.refused) == ((), (), {})
    assert len(found.recount.raw_files) == 1


@pytest.mark.parametrize(("blanks", "revenue"), [("", "5.00"), ('blanks = ["#n/a"]\n', "12.00")])
def test_an_error_is_no_value_where_the_contract_says_so(
    tmp_path: Path, blanks: str, revenue: str
) -> None:
    contract = CONTRACT.replace(FILES, FILES + blanks)
    outcome = publish(tmp_path, contract, "sales.xlsx", workbook(*ROWS))
    assert outcome.orders[DAY]["total_revenue"] == Decimal(revenue)
    # The orders of rejected lines are there, but for the one without a number.
    assert outcome.entries["sales.xlsx"].rows_rejected == (3 if blanks else 4)


def test_errors_say_nothing_of_a_column(shopkpi: Shopkpi) -> None:
    """A column of numbers with an error is one of numbers, and the run rejects the row."""
    rows = [f"{at},{DAY},S{at % 3},{at % 4 + 1},{at}.50,Tea," for at in range(1, 30)]
    Path("in").mkdir()
    Path("in/sales.xlsx").write_bytes(workbook(*rows, f"30,{DAY},S1,1,#DIV/0!,Tea,"))
    Path("c.toml").write_text(shopkpi("contract", "infer", "in").out)
    assert "#DIV/0!" not in Path("c.toml").read_text()
    run = shopkpi("run", "in", "--contract", "c.toml", "--format", "json")
    (event,) = [one for one in run.events if one["event"] == "source.committed"]
    assert event["feeds"]["order_items"]["rejected"] == 1
