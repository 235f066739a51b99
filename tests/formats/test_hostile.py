"""Hostile files of every format are a verdict, in bounded memory."""

from __future__ import annotations

import json
import tempfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.formats.test_same_kpis import CONTRACT, FORMATS, _some_rows, publish
from tests.formats.writers import as_csv, as_json_lines, as_workbook, as_zip, workbook_of
from tests.language.product import Outcome
from tests.support.profiles import examples
from worker.validate.formats import ranged_file
from worker.validate.formats.workbook_records import MAX_UNPACKED_BYTES
from worker.validate.stream import BlockSizes

PLAIN = CONTRACT.replace("FORMS", "")
EACH_PIECE = BlockSizes(block_bytes=512, overlap_bytes=0)


def verdict(home: Path, name: str, data: bytes, contract: str = PLAIN) -> tuple[str, str]:
    outcome = publish(home, contract, name, data)
    (entry,) = outcome.entries.values()
    return entry.verdict, str(entry.reason)


def counts(outcome: Outcome) -> tuple[int, int, int]:
    (entry,) = outcome.entries.values()
    return entry.rows_read, entry.rows_clean, entry.rows_rejected


@pytest.mark.slow
@given(
    st.sampled_from(sorted(FORMATS)),
    st.lists(st.tuples(st.integers(0), st.integers(0, 4), st.binary(max_size=4)), max_size=6),
)
@examples(2)
def test_any_bytes_are_a_verdict(name: str, changes: list[tuple[int, int, bytes]]) -> None:
    data = bytearray(FORMATS[name](_some_rows()))
    for place, length, part in changes:
        at = place % (len(data) + 1)
        data[at : at + length] = part
    with tempfile.TemporaryDirectory() as folder:
        outcome = publish(Path(folder), PLAIN, name, bytes(data), EACH_PIECE)
    (entry,) = outcome.entries.values()
    assert entry.rows_read == entry.rows_clean + entry.rows_rejected + entry.rows_passed_over


def test_a_member_that_inflates_too_far_is_refused(tmp_path: Path) -> None:
    bomb = as_zip({"sales.csv": as_csv(_some_rows()) + b"\n" * 20_000_000})
    found = verdict(tmp_path, "sales.zip", bomb, PLAIN + "[limits]\nmax_inflation = 10\n")
    assert found[0] == "refused"
    assert "limits.max_inflation" in found[1]


def test_a_workbook_that_is_too_large_unpacked_is_refused(tmp_path: Path) -> None:
    row = b'<row r="1"><c r="A1"><v>1</v></c></row>'
    big = workbook_of(f"<sheetData>{(row * (MAX_UNPACKED_BYTES // len(row) + 1)).decode()}")
    found = verdict(tmp_path, "sales.xlsx", big)
    assert found[0] == "refused"
    assert "at most 100 MiB unpacked" in found[1]


def test_a_sheet_whose_cells_are_far_apart_is_refused(tmp_path: Path) -> None:
    cells = '<row r="1"><c r="A1"><v>1</v></c></row>'
    cells += '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    found = verdict(tmp_path, "sales.xlsx", workbook_of(f"<sheetData>{cells}</sheetData>"))
    assert found[0] == "refused"
    assert "4000000 cells" in found[1]


def test_a_workbook_whose_directory_lies_is_refused(tmp_path: Path) -> None:
    data = bytearray(as_workbook(_some_rows()))
    at = data.rfind(b"PK\x01\x02")  # of the last member, the sheet: its unpacked size
    data[at + 24 : at + 28] = (10).to_bytes(4, "little")
    data[at + 16 : at + 20] = zlib.crc32(b"").to_bytes(4, "little")
    assert verdict(tmp_path, "sales.xlsx", bytes(data))[0] == "refused"


def test_json_nested_without_end_is_a_reject(tmp_path: Path) -> None:
    lines = as_json_lines(_some_rows()).splitlines()
    deep = b'{"Order": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    data = b"\n".join([*lines * 5, deep])
    outcome = publish(tmp_path, PLAIN, "sales.jsonl", data)
    assert counts(outcome) == (21, 20, 1)


@pytest.mark.parametrize("line", [b"{", b'{"Order": NaN}', b"[1]", b'"x"', b'{"Order": "\\ud800"}'])
def test_a_line_that_is_no_object_is_a_reject(tmp_path: Path, line: bytes) -> None:
    lines = as_json_lines(_some_rows()).splitlines()
    outcome = publish(tmp_path, PLAIN, "sales.jsonl", b"\n".join([*lines * 5, line, *lines]))
    assert counts(outcome) == (25, 24, 1)


def test_an_object_longer_than_a_record_may_be_is_a_reject(tmp_path: Path) -> None:
    lines = as_json_lines(_some_rows()).splitlines()
    huge = json.dumps({"Order": "x" * 5_000}).encode()
    contract = PLAIN + "[limits]\nmax_record_bytes = 2000\n"
    outcome = publish(
        tmp_path, contract, "sales.jsonl", b"\n".join([*lines * 5, huge, *lines]), EACH_PIECE
    )
    assert counts(outcome) == (25, 24, 1)


def test_bytes_that_are_no_text_cost_nothing_in_a_column_not_used(tmp_path: Path) -> None:
    line = as_json_lines(_some_rows()[:1]).strip()
    data = line.replace(b'"Order"', b'"Note": "\xff\xfe", "Order"')
    outcome = publish(tmp_path, PLAIN, "sales.jsonl", data)
    assert counts(outcome) == (1, 1, 0)


def test_bytes_that_are_no_text_are_a_reject_in_a_column_used(tmp_path: Path) -> None:
    line = as_json_lines(_some_rows()[:1]).strip()
    data = line.replace(b'"User": "u"', b'"User": "\xff"')
    outcome = publish(tmp_path, PLAIN + "[limits]\nmax_reject_rate = 1\n", "sales.jsonl", data)
    (entry,) = outcome.entries.values()
    assert entry.reasons == {"undecodable": 1}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'[{"Order": 1}', "a list that ends"),
        (b'[{"Order": 1} {"Order": 2}]', "a comma before the object at byte 14"),
        (b'[{"Order": 1},, {"Order": 2}]', "objects alone"),
        (b'[{"Order": 1},]', "objects alone"),
        (b'[{"Order": 1}] x', "nothing behind the list"),
        (b'[{"Order": 1}, 2]', "objects alone"),
        (b'[{"Order": "}"}, {"Order": [', "objects that end"),
    ],
)
def test_a_broken_list_is_refused_by_its_place(tmp_path: Path, text: bytes, reason: str) -> None:
    found = verdict(tmp_path, "sales.json", text)
    assert found[0] == "refused"
    assert reason in found[1]


@pytest.mark.parametrize("inner", [as_zip({"sales.csv": b"x"}), b"\x1f\x8b\x08" + b"\0" * 20])
def test_an_archive_in_an_archive_is_refused(tmp_path: Path, inner: bytes) -> None:
    found = verdict(tmp_path, "sales.zip", as_zip({"sales.csv": inner}))
    assert found[0] == "refused"
    assert "text in the members of an archive" in found[1]


def test_a_part_that_is_longer_than_memory_allows_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranged_file, "MAX_READ_BYTES", 50)
    found = verdict(tmp_path, "sales.parquet", FORMATS["sales.parquet"](_some_rows()))
    assert found[0] == "refused"
    assert "parts of at most 50 bytes" in found[1]
