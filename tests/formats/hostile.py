"""Make hostile files: archives, workbooks, Parquet and JSON that ask for more than they are."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from tests.formats.writers import Rows, as_csv, as_json_lines, as_workbook, as_zip, workbook_of

DIRECTORY_ENTRY = b"PK\x01\x02"
OFFICE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


@dataclass(frozen=True)
class Field:
    """A number in a directory entry of a ZIP archive: its offset, and its form."""

    offset: int
    form: str

    @property
    def limit(self) -> int:
        return 2 ** (8 * struct.calcsize(self.form)) - 1


# APPNOTE.TXT, 4.3.12: central directory file header.
FIELDS = {
    "flags": Field(8, "<H"),
    "method": Field(10, "<H"),
    "crc": Field(16, "<I"),
    "packed": Field(20, "<I"),
    "unpacked": Field(24, "<I"),
    "name length": Field(28, "<H"),
    "extra length": Field(30, "<H"),
    "disk": Field(34, "<H"),
    "offset": Field(42, "<I"),
}


def with_fields(archive: bytes, values: Mapping[str, int], *, entry: int = -1) -> bytes:
    """Change the directory of an archive in one of its entries."""
    data = bytearray(archive)
    places = [at for at in range(len(data)) if data.startswith(DIRECTORY_ENTRY, at)]
    for name, value in values.items():
        field = FIELDS[name]
        struct.pack_into(field.form, data, places[entry] + field.offset, value & field.limit)
    return bytes(data)


def deflated(name: str, head: bytes, more: bytes, times: int, *, method: int) -> bytes:
    """Make an archive of one member that is far longer than its bytes."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(out, "w", method) as archive,
        archive.open(name, "w", force_zip64=True) as member,
    ):
        member.write(head)
        for _ in range(times):
            member.write(more)
    return out.getvalue()


def workbook_with(parts: Mapping[str, str], *, sheet: str) -> bytes:
    """Make a workbook of one sheet and of further parts, with the relations to shared texts."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook_of(sheet))) as plain:
        members = {name: plain.read(name).decode() for name in plain.namelist()}
    members["[Content_Types].xml"] = members["[Content_Types].xml"].replace(
        "</Types>",
        f'<Override PartName="/xl/sharedStrings.xml" ContentType="{OFFICE}.sharedStrings+xml"/>'
        "</Types>",
    )
    members["xl/_rels/workbook.xml.rels"] = members["xl/_rels/workbook.xml.rels"].replace(
        "</Relationships>",
        f'<Relationship Id="r2" Type="{RELATION}/sharedStrings" Target="sharedStrings.xml"/>'
        "</Relationships>",
    )
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {**members, **parts}.items():
            archive.writestr(name, text)
    return out.getvalue()


def header_row(rows: Rows) -> str:
    cells = (
        f'<c r="{chr(65 + at)}1" t="inlineStr"><is><t>{name}</t></is></c>'
        for at, name in enumerate(rows[0])
    )
    return f'<row r="1">{"".join(cells)}</row>'


def shared_texts(*texts: str) -> str:
    inner = "".join(f"<si><t>{text}</t></si>" for text in texts)
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    return f'<?xml version="1.0"?><sst xmlns="{main}">{inner}</sst>'


def repeated_text(rows: Rows, text_bytes: int, times: int) -> bytes:
    """Make a workbook in which many cells show one long text."""
    cells = "".join(
        f'<row r="{row}"><c r="A{row}" t="s"><v>0</v></c></row>' for row in range(2, times + 2)
    )
    return workbook_with(
        {"xl/sharedStrings.xml": shared_texts("x" * text_bytes)},
        sheet=f"<sheetData>{header_row(rows)}{cells}</sheetData>",
    )


def parquet_of(table: Mapping[str, pa.Array], **options: object) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(dict(table)), out, **options)
    return out.getvalue()


def repeated_value(rows: Rows, column: str, value_bytes: int, times: int) -> bytes:
    """Make Parquet in which a dictionary's one long value stands in every row."""
    columns = {name: pa.array([text] * times) for name, text in rows[0].items()}
    columns[column] = pa.DictionaryArray.from_arrays(
        pa.array([0] * times, pa.int32()), pa.array(["x" * value_bytes])
    )
    return parquet_of(columns, compression="zstd")


def long_page(rows: Rows, column: str, value_bytes: int) -> bytes:
    """Make Parquet whose page is far longer than its bytes."""
    columns = {name: pa.array([text]) for name, text in rows[0].items()}
    columns[column] = pa.array(["x" * value_bytes])
    return parquet_of(columns, compression="zstd", use_dictionary=False, write_statistics=False)


def lying_archives(rows: Rows) -> st.SearchStrategy[tuple[str, bytes]]:
    """Draw archives and workbooks whose directories lie about one of their members."""
    plain: dict[str, Callable[[], bytes]] = {
        "sales.zip": lambda: as_zip({"a/sales.csv": as_csv(rows), "sales-b.csv": as_csv(rows)}),
        "sales.xlsx": lambda: as_workbook(rows),
    }
    numbers = st.sampled_from([0, 1, 7, 2**16 - 1, 2**31, 2**32 - 1]) | st.integers(0, 2**32 - 1)
    return st.builds(
        lambda name, entry, values: (name, with_fields(plain[name](), values, entry=entry)),
        st.sampled_from(sorted(plain)),
        st.integers(-2, 1),
        st.dictionaries(st.sampled_from(sorted(FIELDS)), numbers, min_size=1, max_size=3),
    )


def sparse_workbooks(rows: Rows) -> st.SearchStrategy[tuple[str, bytes]]:
    """Draw workbooks whose cells are anywhere, or say no place, and show any shared text."""
    letters = st.sampled_from(["A", "B", "K", "XFD", "zz", "ZZZZ", ""])
    row = st.sampled_from([0, 1, 2, 3, 1000, 1_048_576, 9_999_999])
    place = st.builds(lambda column, number: f' r="{column}{number}"', letters, row) | st.just("")
    kind = st.sampled_from(["", ' t="s"', " t='s'", ' t="str"', ' t="n"', ' t="b"', ' t="e"'])
    value = st.sampled_from(["0", "1", "2", "99", "-1", "1e308", "x", ""])
    cell = st.builds(lambda at, shown, text: f"<c{at}{shown}><v>{text}</v></c>", place, kind, value)
    line = st.builds(
        lambda number, cells: f"<row{number}>{''.join(cells)}</row>",
        st.just("") | row.map(lambda number: f' r="{number}"'),
        st.lists(cell, max_size=4),
    )
    return st.lists(line, max_size=5).map(
        lambda lines: (
            "sales.xlsx",
            workbook_with(
                {"xl/sharedStrings.xml": shared_texts("a", "b" * 1000)},
                sheet=f"<sheetData>{header_row(rows)}{''.join(lines)}</sheetData>",
            ),
        )
    )


def changed_parquet(rows: Rows) -> st.SearchStrategy[tuple[str, bytes]]:
    """Draw Parquet files of any codec with changed bytes in page headers and footer."""
    columns = {name: pa.array([row[name] for row in rows] * 50) for name in rows[0]}

    def make(codec: str, version: str, changes: list[tuple[bool, int, int]]) -> tuple[str, bytes]:
        data = bytearray(
            parquet_of(columns, compression=codec, data_page_version=version, row_group_size=120)
        )
        footer = int.from_bytes(data[-8:-4], "little") + 8
        for in_footer, place, byte in changes:
            first, last = (len(data) - footer, len(data) - 4) if in_footer else (4, 200)
            data[first + place % (last - first)] = byte
        return "sales.parquet", bytes(data)

    change = st.tuples(st.booleans(), st.integers(0, 2**20), st.integers(0, 255))
    return st.builds(
        make,
        st.sampled_from(["none", "snappy", "zstd", "gzip"]),
        st.sampled_from(["1.0", "2.0"]),
        st.lists(change, min_size=1, max_size=4),
    )


def deep_json(rows: Rows) -> st.SearchStrategy[tuple[str, bytes]]:
    """Draw JSON with values nested to any depth, closed or not, and many of them."""
    opening = st.sampled_from([b"[", b'{"a":', b"[[],"])
    end = {b"[": b"]", b'{"a":': b"}", b"[[],": b"]"}

    def make(mark: bytes, depth: int, closed: bool, name: str) -> tuple[str, bytes]:
        inner = mark * depth + b"1" + (end[mark] * depth if closed else b"")
        line = as_json_lines(rows[:1]).strip()[:-1] + b', "More": ' + inner + b"}"
        text = b"[" + line + b"]" if name == "sales.json" else line + b"\n" + line
        return name, text

    return st.builds(
        make,
        opening,
        st.sampled_from([1, 100, 1_000, 1_025, 20_000]),
        st.booleans(),
        st.sampled_from(["sales.json", "sales.jsonl"]),
    )
