"""Hostile files of every format are a verdict, in bounded memory."""

from __future__ import annotations

import io
import json
import tempfile
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi.json import framing
from tests.formats.hostile import (
    DIRECTORY_ENTRY,
    changed_parquet,
    deep_json,
    deflated,
    header_row,
    long_page,
    lying_archives,
    parquet_of,
    repeated_text,
    repeated_value,
    shared_texts,
    sparse_workbooks,
    with_fields,
    workbook_with,
)
from tests.formats.test_same_kpis import CONTRACT, FORMATS, publish, some_rows
from tests.formats.writers import as_csv, as_json_lines, as_workbook, as_zip, workbook_of
from tests.language.product import Outcome
from tests.support.profiles import examples
from worker.validate.formats import archive, parquet_pages, parquet_records, workbook_limits
from worker.validate.formats.workbook_limits import MAX_UNPACKED_BYTES
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
@examples(1)
def test_any_bytes_are_a_verdict(name: str, changes: list[tuple[int, int, bytes]]) -> None:
    data = bytearray(FORMATS[name](some_rows()))
    for place, length, part in changes:
        at = place % (len(data) + 1)
        data[at : at + length] = part
    with tempfile.TemporaryDirectory() as folder:
        outcome = publish(Path(folder), PLAIN, name, bytes(data), EACH_PIECE)
    (entry,) = outcome.entries.values()
    assert entry.rows_read == entry.rows_clean + entry.rows_rejected + entry.rows_passed_over


@pytest.mark.slow
@given(
    lying_archives(some_rows())
    | sparse_workbooks(some_rows())
    | changed_parquet(some_rows())
    | deep_json(some_rows())
)
@examples(0.2)
def test_files_that_lie_are_a_verdict(file: tuple[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        outcome = publish(Path(folder), PLAIN, *file)
    (entry,) = outcome.entries.values()
    assert entry.rows_read == entry.rows_clean + entry.rows_rejected + entry.rows_passed_over


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_that_unpack_in_one_piece_are_refused(tmp_path: Path, method: int) -> None:
    bomb = deflated("sales.csv", as_csv(some_rows()), b"\n" * 2**20, 2, method=method)
    found = verdict(tmp_path, "sales.zip", bomb)
    assert found[0] == "refused"
    assert "stored or deflated" in found[1]


def test_a_directory_longer_than_memory_allows_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_DIRECTORY_BYTES", 2000)
    many = as_zip({f"sales-{number}.csv": as_csv(some_rows()) for number in range(50)})
    found = verdict(tmp_path, "sales.zip", many)
    assert found[0] == "refused"
    assert "parts of at most 2000 bytes" in found[1]


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("sales.csv", as_csv(some_rows()))
        with pytest.warns(UserWarning, match="Duplicate"):
            made.writestr("sales.csv", as_csv(some_rows()))
    found = verdict(tmp_path, "sales.zip", out.getvalue())
    assert "got 2 of 'sales.csv'" in found[1]


def test_members_that_share_bytes_do_not_inflate_further(tmp_path: Path) -> None:
    """A zip bomb of entries that all name one member (Fifield, 2019)."""
    packed = as_zip({"sales-0.csv": as_csv(some_rows()) + b"\n" * 200_000})
    at = packed.rindex(DIRECTORY_ENTRY)
    end = packed.rindex(b"PK\x05\x06")
    entry, count = packed[at:end], 300
    data = bytearray(packed[:at] + entry * count + packed[end:])
    for number in range(count):
        place = at + number * len(entry)
        data[place + 46 : place + 57] = b"sales-0.csv"
    tail = at + count * len(entry)
    data[tail + 8 : tail + 12] = count.to_bytes(2, "little") * 2
    data[tail + 12 : tail + 16] = (count * len(entry)).to_bytes(4, "little")
    assert verdict(tmp_path, "sales.zip", bytes(data))[0] == "refused"


def test_cells_without_a_place_count_from_the_last(tmp_path: Path) -> None:
    cells = '<row r="1"><c><v>1</v></c></row><row r="1048576">' + "<c><v>1</v></c>" * 9 + "</row>"
    found = verdict(tmp_path, "sales.xlsx", workbook_of(f"<sheetData>{cells}</sheetData>"))
    assert found[0] == "refused"
    assert "4000000 cells" in found[1]


def test_a_text_that_too_many_cells_show_is_refused(tmp_path: Path) -> None:
    found = verdict(tmp_path, "sales.xlsx", repeated_text(some_rows(), 30_000, 4_000))
    assert found[0] == "refused"
    assert "100 MiB of text" in found[1]


def test_a_workbook_part_unpacks_to_no_more_than_it_says() -> None:
    sheet = "xl/worksheets/sheet1.xml"
    bomb = deflated(sheet, b"<x/>", b" " * 2**20, 64, method=zipfile.ZIP_DEFLATED)
    lying = with_fields(bomb, {"unpacked": 4, "crc": zlib.crc32(b"<x/>")})
    with zipfile.ZipFile(io.BytesIO(lying)) as opened:
        tracemalloc.start()
        assert workbook_limits.read_part(opened, opened.getinfo(sheet)) == b"<x/>"
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
        tracemalloc.stop()


def test_external_entities_of_a_workbook_are_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the contents of a file")
    doctype = f'<!DOCTYPE x [<!ENTITY e SYSTEM "file://{secret}">]>'
    texts = shared_texts("&e;").replace("<sst", f"{doctype}<sst", 1)
    cell = '<row r="2"><c r="A2" t="s"><v>0</v></c></row>'
    book = workbook_with(
        {"xl/sharedStrings.xml": texts},
        sheet=f"<sheetData>{header_row(some_rows())}{cell}</sheetData>",
    )
    outcome = publish(tmp_path, PLAIN, "sales.xlsx", book)
    read = [path.read_bytes() for path in (tmp_path / "ws").rglob("*.parquet")]
    assert all(b"the contents of a file" not in one for one in read)
    (entry,) = outcome.entries.values()
    assert entry.rows_clean == 0


def test_a_page_longer_than_memory_allows_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_pages, "MAX_PAGES_BYTES", 2**20)
    found = verdict(tmp_path, "sales.parquet", long_page(some_rows(), "User", 2**21))
    assert found[0] == "refused"
    assert "one of 20971" in found[1]


def test_a_dictionary_whose_value_is_everywhere_is_refused(tmp_path: Path) -> None:
    found = verdict(tmp_path, "sales.parquet", repeated_value(some_rows(), "User", 50_000, 9_000))
    assert found[0] == "refused"
    assert "limits.max_inflation" in found[1]


def test_an_encoding_without_a_bound_is_refused(tmp_path: Path) -> None:
    columns = {name: pa.array([row[name] for row in some_rows()]) for name in some_rows()[0]}
    data = parquet_of(columns, use_dictionary=False, column_encoding="DELTA_BYTE_ARRAY")
    found = verdict(tmp_path, "sales.parquet", data)
    assert found[0] == "refused"
    assert "other encodings than DELTA_BYTE_ARRAY" in found[1]


def test_a_record_of_too_many_values_is_a_reject(tmp_path: Path) -> None:
    lines = as_json_lines(some_rows()).splitlines()
    many = lines[0][:-1] + b', "More": [' + b"{}," * framing.MAX_VALUES + b"{}]}"
    outcome = publish(tmp_path, PLAIN, "sales.jsonl", b"\n".join([*lines * 5, many]))
    (entry,) = outcome.entries.values()
    assert (entry.rows_clean, entry.reasons) == (20, {"record_too_long": 1})


def test_a_member_that_inflates_too_far_is_refused(tmp_path: Path) -> None:
    bomb = as_zip({"sales.csv": as_csv(some_rows()) + b"\n" * 20_000_000})
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
    data = bytearray(as_workbook(some_rows()))
    at = data.rfind(b"PK\x01\x02")  # of the last member, the sheet: its unpacked size
    data[at + 24 : at + 28] = (10).to_bytes(4, "little")
    data[at + 16 : at + 20] = zlib.crc32(b"").to_bytes(4, "little")
    assert verdict(tmp_path, "sales.xlsx", bytes(data))[0] == "refused"


def test_json_nested_without_end_is_a_reject(tmp_path: Path) -> None:
    lines = as_json_lines(some_rows()).splitlines()
    deep = b'{"Order": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    data = b"\n".join([*lines * 5, deep])
    outcome = publish(tmp_path, PLAIN, "sales.jsonl", data)
    assert counts(outcome) == (21, 20, 1)


@pytest.mark.parametrize("line", [b"{", b'{"Order": NaN}', b"[1]", b'"x"', b'{"Order": "\\ud800"}'])
def test_a_line_that_is_no_object_is_a_reject(tmp_path: Path, line: bytes) -> None:
    lines = as_json_lines(some_rows()).splitlines()
    outcome = publish(tmp_path, PLAIN, "sales.jsonl", b"\n".join([*lines * 5, line, *lines]))
    assert counts(outcome) == (25, 24, 1)


def test_an_object_longer_than_a_record_may_be_is_a_reject(tmp_path: Path) -> None:
    lines = as_json_lines(some_rows()).splitlines()
    huge = json.dumps({"Order": "x" * 5_000}).encode()
    contract = PLAIN + "[limits]\nmax_record_bytes = 2000\n"
    outcome = publish(
        tmp_path, contract, "sales.jsonl", b"\n".join([*lines * 5, huge, *lines]), EACH_PIECE
    )
    assert counts(outcome) == (25, 24, 1)


def test_bytes_that_are_no_text_cost_nothing_in_a_column_not_used(tmp_path: Path) -> None:
    line = as_json_lines(some_rows()[:1]).strip()
    data = line.replace(b'"Order"', b'"Note": "\xff\xfe", "Order"')
    outcome = publish(tmp_path, PLAIN, "sales.jsonl", data)
    assert counts(outcome) == (1, 1, 0)


def test_bytes_that_are_no_text_are_a_reject_in_a_column_used(tmp_path: Path) -> None:
    line = as_json_lines(some_rows()[:1]).strip()
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


def test_texts_of_parquet_that_are_no_text_are_rejects(tmp_path: Path) -> None:
    columns = {name: pa.array([row[name] for row in some_rows()]) for name in some_rows()[0]}
    columns["User"] = pa.array([b"\xff", *[b"u"] * 3]).view(pa.string())
    data = parquet_of(columns, use_dictionary=False, write_statistics=False)
    outcome = publish(tmp_path, PLAIN + "[limits]\nmax_reject_rate = 1\n", "sales.parquet", data)
    (entry,) = outcome.entries.values()
    assert entry.reasons == {"undecodable": 1}


def test_a_part_that_is_longer_than_memory_allows_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_records, "MAX_FOOTER_BYTES", 50)
    found = verdict(tmp_path, "sales.parquet", FORMATS["sales.parquet"](some_rows()))
    assert found[0] == "refused"
    assert "parts of at most 50 bytes" in found[1]
