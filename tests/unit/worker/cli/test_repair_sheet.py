"""A sheet gives back every cell that was written into it, whatever a spreadsheet thinks of it."""

from __future__ import annotations

import csv
import hashlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from worker.clean.rejects import RejectedRow
from worker.cli.repair_sheet import read_sheet, write_sheet
from worker.errors import ConfigError
from worker.maintenance.repair.cells import Form, join_record, merge_cells, split_record

SOURCE = "0123456789012345"
FORM = Form(headers=("a", "=b", "b"), delimiter=";")
CELLS = st.text(st.characters(codec="utf-8"), max_size=6)


def reject(raw: bytes, row: int = 7) -> RejectedRow:
    return RejectedRow(row=row, byte_offset=0, raw=raw, codes=(), reasons=("wrong: =1",))


def through_a_sheet(raw: bytes) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "fix.csv")
        write_sheet(path, SOURCE, FORM, [reject(raw)])
        sheet = read_sheet(path)
    assert (sheet.source_id, sheet.headers) == (SOURCE, FORM.headers)
    (row,) = sheet.rows
    assert (row.row, row.digest) == (7, hashlib.sha256(raw).hexdigest()[:16])
    return list(row.cells)


@given(st.lists(CELLS, min_size=3, max_size=3))
@example(["=1+1", "'=x", "''"])
@example(["007", "1234567890123456", "\t-2"])
@example(["a\r\nb", '"', "x;y"])
def test_cells_come_back_exactly(cells: list[str]) -> None:
    raw = join_record(cells, FORM)
    assert raw is not None
    original = split_record(raw, FORM)
    assert merge_cells(original, through_a_sheet(raw)) == original == cells


@given(st.binary(max_size=12))
def test_any_bytes_that_nobody_touched_are_unchanged(raw: bytes) -> None:
    original = split_record(raw, FORM)
    found = through_a_sheet(raw)
    found += [""] * (len(original) - len(found))
    assert merge_cells(original, found[: len(original)]) == original


def test_no_cell_is_a_formula_and_the_reader_is_told_the_encoding(tmp_path: Path) -> None:
    path = tmp_path / "fix.csv"
    write_sheet(path, SOURCE, FORM, [reject(b"=1;@x;+1;-1;\xff")])
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    assert path.stat().st_mode & 0o077 == 0
    header, row = csv.reader(path.read_text("utf-8-sig").splitlines())
    assert header[3:] == ["a", "'=b", "b", "shopkpi_extra_1", "shopkpi_extra_2"]
    assert row[3:] == ["'=1", "'@x", "'+1", "'-1", "\\xff"]


def test_rows_of_two_files_are_refused(tmp_path: Path) -> None:
    first, second = tmp_path / "1.csv", tmp_path / "2.csv"
    write_sheet(first, SOURCE, FORM, [reject(b"1;2;3")])
    write_sheet(second, "f" * 16, FORM, [reject(b"1;2;3", 8)])
    first.write_text(first.read_text() + second.read_text().splitlines()[1])
    with pytest.raises(ConfigError, match="rows of several source objects"):
        read_sheet(first)


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"a,b\n1,2\n"])
def test_another_file_is_no_sheet(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "fix.csv"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"fix\.csv: it is no"):
        read_sheet(path)
