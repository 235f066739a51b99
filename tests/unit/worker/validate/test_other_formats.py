"""Files in the manner of spreadsheets and other programs: read, or refused by their name."""

from __future__ import annotations

import json

import pytest

from kpi.contract.folding import BLANKS
from tests.properties.validation import LENIENT, changed, outcome

HEADER, ROWS = b"id,category\n", b"1,Toys\n2,Beauty\n"
CLEAN = [{"id": 1, "category": "Toys"}, {"id": 2, "category": "Beauty"}]


def clean(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{name: row[name] for name in ("id", "category")} for row in rows]


@pytest.mark.parametrize(
    "line", [b"sep=,\n", b"SEP=,\r\n", b'"sep=,"\n', b"\xef\xbb\xbfsep=,\n", b"\nsep=,\n"]
)
def test_a_separator_line_is_passed_over_and_counted(line: bytes) -> None:
    found = outcome(line + HEADER + ROWS)
    assert clean(found.clean) == CLEAN
    assert found.entry.notes == {"sep=_line": 1}
    assert (found.entry.rows_read, found.rejects) == (2, [])


def test_a_separator_line_of_another_delimiter_is_named() -> None:
    found = outcome(b"sep=;\nid;category\n1;Toys\n")
    assert found.entry.reason == ("expected the delimiter ',' (csv.delimiter), got the line sep=;")


def test_a_separator_line_is_read_with_a_tab() -> None:
    contract = changed(('delimiter = ","', 'delimiter = "\\t"'))
    for line in (b"sep=\t\n", b"sep=\\t\n"):
        found = outcome(line + b"id\tcategory\n1\tToys\n", contract=contract)
        assert clean(found.clean) == CLEAN[:1]


@pytest.mark.parametrize("block_bytes", [30, 10**6])
@pytest.mark.parametrize(
    "blank",
    [
        ",",
        ",,",
        "  ",
        ' , "" ',
        '"",""',
        "\x1a",
        "\0\0\0",
        *(f"{one},{one}" for one in BLANKS if one > " "),
    ],
)
def test_blank_records_are_no_rows(blank: str, block_bytes: int) -> None:
    lines = (*blank.encode().splitlines(keepends=True),) if "\n" in blank else (blank.encode(),)
    line = b"".join(lines) + b"\n"
    data = line + HEADER + line + b"1,Toys\n" + line * 2 + b"2,Beauty\nx,Toys\n" + line
    found = outcome(data, block_bytes=block_bytes)
    assert clean(found.clean) == CLEAN
    assert (found.entry.rows_read, found.entry.rows_rejected) == (3, 1)
    assert found.entry.notes == {"blank_rows": 4}
    assert found.entry.reasons == {"wrong_type": 1}
    # The rows before it, blank ones included, count as in a spreadsheet.
    assert [(row["row"], row["raw"]) for row in found.rejects] == [(7, b"x,Toys")]


def test_blank_records_do_not_change_the_reject_rate() -> None:
    contract = changed(("max_reject_rate = 0.10", "max_reject_rate = 0.5"))
    refused = outcome(HEADER + b",\n" * 100 + b"1,Toys\nx,Toys\ny,Toys\n", contract=contract)
    assert refused.entry.verdict == "refused"
    accepted = outcome(HEADER + b",\n" * 100 + ROWS, contract=contract)
    assert (accepted.entry.verdict, accepted.entry.rows_read) == ("accepted", 2)


def test_a_record_with_one_value_is_no_blank_record() -> None:
    found = outcome(HEADER + b",Toys\n, x\n")
    assert found.entry.rows_rejected == 2


def test_a_byte_order_mark_in_the_middle_is_a_blank() -> None:
    mark = "\ufeff".encode()
    found = outcome(HEADER + mark + b"1," + mark + b"Toys\n2,Beauty" + mark + b"\n" + mark + b"\n")
    assert clean(found.clean) == CLEAN
    assert found.entry.notes["blank_rows"] == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (json.dumps({"id": 1, "category": "Toys"}).encode() + b"\n", "expected CSV, got JSON"),
        (
            json.dumps({"id": 1, "category": "T"}, separators=(",", ":")).encode() + b"\n",
            "expected CSV, got JSON",
        ),
        (json.dumps([{"id": 1}], indent=2).encode(), "expected CSV, got JSON"),
        (b"{}\n", "expected CSV, got JSON"),
        (
            (HEADER + ROWS).decode().encode("utf-16-le"),
            "expected UTF-8, got UTF-16 without a byte order mark",
        ),
        (
            (HEADER + ROWS).decode().encode("utf-16-be"),
            "expected UTF-8, got UTF-16 without a byte order mark",
        ),
        (
            (HEADER + ROWS).decode().encode("utf-16"),
            "expected UTF-8, got UTF-16 (its byte order mark stands first)",
        ),
        *(
            (
                (HEADER + ROWS).decode().encode(encoding),
                "expected UTF-8, got UTF-32 without a byte order mark",
            )
            for encoding in ("utf-32-le", "utf-32-be")
        ),
        (b"<!DOCTYPE html>\n<html><body>Log in</body></html>\n", "expected CSV, got HTML"),
        (b"\n  <HTML lang=en>\n", "expected CSV, got HTML"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<rows/>\n", "expected CSV, got XML"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504),
            "expected CSV text, got an Excel workbook in the format before 2007 (.xls)",
        ),
        (
            b"orders.csv".ljust(257, b"\0") + b"ustar\x0000".ljust(255, b"\0") + HEADER + ROWS,
            "expected CSV text, got a tar archive",
        ),
        (b"SQLite format 3\0" + bytes(84), "expected CSV text, got a SQLite database"),
        (b"\x1f\x9d\x90abc", "expected CSV text, got data of the program compress (.Z)"),
    ],
)
def test_another_format_is_named(data: bytes, reason: str) -> None:
    found = outcome(data)
    assert found.entry.verdict == "refused"
    assert found.entry.reason == reason


def test_lines_quoted_as_a_whole_are_named() -> None:
    found = outcome(b'"id,category"\n"1,Toys"\n')
    assert found.entry.reason is not None
    assert found.entry.reason.endswith(
        "got one quoted field that holds 2 columns; known: id, category; "
        "are the lines quoted as a whole?"
    )


def test_a_delimiter_at_the_end_of_each_row_is_named() -> None:
    found = outcome(HEADER + b"1,Toys,\n2,Beauty,\n", contract=changed())
    assert found.entry.reason is not None
    assert "wrong_column_count 2 (expected 2 columns, got 3)" in found.entry.reason
    assert "the extra column is empty in all of them" in found.entry.reason
    found = outcome(HEADER + b"1,Toys,\n2,Beauty,x\n", contract=changed())
    assert "check the delimiter" in str(found.entry.reason)


def test_lenient_contract_reads_the_plain_file() -> None:
    found = outcome(HEADER + ROWS, contract=LENIENT)
    assert (clean(found.clean), found.entry.notes) == (CLEAN, {})
