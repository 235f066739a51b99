"""How files are written: delimiters, headers, quotes, encodings."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path

import pytest

from tests.language.contracts import FILES, HEAD, ITEMS, ORDERS, sales
from tests.language.files import File
from tests.language.product import Outcome, run
from worker.validate.stream import BlockSizes

DAY = "2025-03-01"
CONTRACT = HEAD + FILES + ORDERS + ITEMS + 'category = "SKU"\n'
TWO = sales(f"1,{DAY},A,1,5", f"2,{DAY},B,2,7")


def entry_words(*words: str) -> str:
    return CONTRACT.replace(FILES, FILES + "".join(f"{word}\n" for word in words))


def revenue(outcome: Outcome) -> object:
    return outcome.orders[DAY]["total_revenue"] if DAY in outcome.orders else None


def reason(outcome: Outcome) -> str:
    (entry,) = outcome.entries.values()
    return str(entry.reason)


def run_bytes(home: Path, contract: str, data: bytes, name: str = "sales.csv") -> Outcome:
    """Run one file of some bytes."""
    return run(home, contract, [File(name, data.decode("latin-1"), 0)], encoding="latin-1")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_yields_every_column(tmp_path: Path, delimiter: str) -> None:
    data = TWO.replace(",", delimiter).encode()
    assert revenue(run_bytes(tmp_path, CONTRACT, data)) == 12


def test_a_delimiter_of_the_contract_alone_is_tried(tmp_path: Path) -> None:
    outcome = run_bytes(tmp_path, entry_words('delimiter = ";"'), TWO.encode())
    assert "expected columns order" in reason(outcome)


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + TWO.encode(),
        ("\ufeff" + TWO).encode("utf-16-le"),
        ("\ufeff" + TWO).encode("utf-16-be"),
        TWO.replace("\n", "\r\n").encode(),
        TWO.rstrip().encode(),
        ("sep=,\n" + TWO).encode(),
        TWO.replace(f"2,{DAY}", f"{TWO.splitlines()[0]}\n\n,,,,\n2,{DAY}").encode(),
    ],
)
def test_marks_line_ends_and_blank_records_are_no_rows(tmp_path: Path, data: bytes) -> None:
    outcome = run_bytes(tmp_path, CONTRACT, data)
    assert revenue(outcome) == 12
    assert outcome.entries["sales.csv"].rows_read == 2


def test_a_compressed_file_matches_without_its_ending(tmp_path: Path) -> None:
    data = gzip.compress(TWO.encode(), mtime=0)
    assert revenue(run_bytes(tmp_path, CONTRACT, data, "sales.csv.gz")) == 12


def test_an_encoding_is_decoded(tmp_path: Path) -> None:
    data = TWO.replace("A,", "K\u00fcche \u20ac,").encode("cp1252")
    outcome = run_bytes(tmp_path, entry_words('encoding = "cp1252"'), data)
    assert (DAY, "K\u00fcche \u20ac") in outcome.categories


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (TWO.encode("utf-16-be"), "UTF-16 without a byte order mark"),
        (TWO.encode("utf-32-le"), "UTF-32 without a byte order mark"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>\n", "HTML"),
    ],
)
def test_a_text_in_another_form_is_named(tmp_path: Path, data: bytes, name: str) -> None:
    assert name in reason(run_bytes(tmp_path, CONTRACT, data))


def test_an_undecodable_byte_costs_a_row_only_where_it_is_read(tmp_path: Path) -> None:
    rows = [f"{n},{DAY},A,1,5,x" for n in range(20)]
    text = sales(
        *rows,
        f"98,{DAY},A,1,5,\u00ff",
        f"99,{DAY},\u00ff,1,5,x",
        header="Order,Date,SKU,Qty,Total,Note",
    )
    outcome = run_bytes(tmp_path, CONTRACT, text.encode("latin-1"))
    assert outcome.entries["sales.csv"].reasons == {"undecodable": 1}
    assert outcome.orders[DAY]["total_orders"] == 22  # the order of the bad line is known


def test_the_header_may_stand_below_titles(tmp_path: Path) -> None:
    data = ("Report,,,,\nof March\n" + TWO).encode()
    contract = entry_words('begins = "Order"')
    assert revenue(run_bytes(tmp_path, contract, data)) == 12
    missing = run_bytes(tmp_path / "x", entry_words('begins = "Nothing"'), data)
    assert "'Nothing'" in reason(missing)


def test_a_file_may_have_no_header(tmp_path: Path) -> None:
    contract = entry_words('columns = ["Order", "Date", "SKU", "Qty", "Total"]')
    data = TWO.split("\n", 1)[1].encode()
    assert revenue(run_bytes(tmp_path, contract, data)) == 12
    fixed = run_bytes(tmp_path / "x", contract, data.replace(b",", b" "))
    assert "fixed width" in reason(fixed)


@pytest.mark.parametrize("block_bytes", [10, 40, 4000])
def test_quotes_may_be_plain_characters(tmp_path: Path, block_bytes: int) -> None:
    text = sales(f'1,{DAY},"A" one,1,5', f'2,{DAY},"B,1,7', f"3,{DAY},C,1,1").replace(",", "\t")
    contract = entry_words('delimiter = "\\t"', 'quote = ""')
    sizes = BlockSizes(block_bytes=block_bytes, overlap_bytes=0)
    outcome = run(tmp_path, contract, [File("sales.csv", text, 0)], block_sizes=sizes)
    assert {category for _, category in outcome.categories} == {'"A" one', '"B', "C"}


def test_records_of_wrong_width_are_rejects_with_their_place(tmp_path: Path) -> None:
    rows = [f"{n},{DAY},A,1,5" for n in range(20)]
    data = sales(*rows, f"98,{DAY},A,1", f"99,{DAY},A,1,5,6,7").encode()
    entry = run_bytes(tmp_path, CONTRACT, data).entries["sales.csv"]
    assert entry.reasons == {"wrong_column_count": 2}
    assert entry.feeds["orders"].rejected == entry.feeds["order_items"].rejected == 2


def test_texts_of_the_path_are_columns(tmp_path: Path) -> None:
    contract = CONTRACT.replace("sales*.csv", "store={store}/sales_{date}.csv")
    contract = contract.replace('"Date"', '"{date}"')
    contract = contract.replace('order_id = "Order"', 'order_id = { join = ["{store}", "Order"] }')
    files = [
        File("store=1/sales_2025-03-01.csv", TWO, 0),
        File("store=2/sales_2025-03-01.csv", TWO, 1),
    ]
    outcome = run(tmp_path, contract, files)
    assert outcome.orders[DAY]["total_orders"] == 4


@pytest.mark.parametrize(("currency", "total"), [("EUR", "0.12"), ("JPY", "12"), ("KWD", "0.012")])
def test_minor_units_are_those_of_the_currency(tmp_path: Path, currency: str, total: str) -> None:
    contract = entry_words("minor_units = true").replace(HEAD, HEAD + f'currency = "{currency}"\n')
    outcome = run_bytes(tmp_path, contract, TWO.encode())
    assert revenue(outcome) == Decimal(total).quantize(Decimal("0.01"))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    assert "empty" in reason(run_bytes(tmp_path, CONTRACT, b""))


@pytest.mark.parametrize(
    ("date", "price", "told"),
    [
        (
            "10/03/25",
            "5",
            "wrong_type 20 in orders.created_at (expected a date or time; got '99/99/99'), "
            "where 9 is a digit and a is a letter; write the last day of 2025 in `dates` of the "
            "entry of [[files]] as the file writes it",
        ),
        (
            DAY,
            "5,50 EUR",
            "wrong_type 20 in order_items.after_discount (expected an amount of money; got "
            "'9,99 aaa'), where 9 is a digit and a is a letter; write 1234.5 in `numbers` of ",
        ),
        (
            "1999-01-01",
            "5",
            "out_of_range 20 in orders.created_at (expected a day from 2000-01-01 to 2026-12-31 "
            "(not_before, not_after); got '9999-99-99'), where 9 is a digit and a is a letter; "
            "check `not_before`",
        ),
        (DAY, '"1.005,50"', 'write `numbers = "1.234,50"` in the entry of [[files]]'),
        (DAY, "5,50", 'write `numbers = "1234,50"` in the entry of [[files]]'),
        (DAY, "1'005.50", 'write `numbers = "1\'234.50"` in the entry of [[files]]'),
        (DAY, "1,005", "write 1234.5 in `numbers` of the entry"),
        (DAY, "5;", "the extra column is empty in all of them: each ends with a delimiter"),
        (DAY, "5;x", "wrong_column_count 20 (expected 5 columns, got 6); check the delimiter"),
    ],
)
def test_a_refusal_names_column_shapes_and_remedy(
    tmp_path: Path, date: str, price: str, told: str
) -> None:
    text = sales(*(f"{n};{date};A;1;{price}" for n in range(20)), header="Order;Date;SKU;Qty;Total")
    assert told in reason(run_bytes(tmp_path, CONTRACT, text.encode()))


def test_a_pattern_takes_names_with_line_ends(tmp_path: Path) -> None:
    assert revenue(run_bytes(tmp_path, CONTRACT, TWO.encode(), "sales\n1.csv")) == 12
