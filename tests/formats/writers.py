"""Write one table of rows in each format that is read."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from decimal import Decimal
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.parquet as pq

Rows = Sequence[Mapping[str, str]]
"""Rows as texts by column; an empty text is no value."""

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def columns_of(rows: Rows) -> list[str]:
    return list(rows[0])


def as_csv(rows: Rows) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns_of(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def _json_value(text: str, *, is_number: bool) -> str:
    if not text:
        return "null"
    return text if is_number and _is_json_number(text) else json.dumps(text, ensure_ascii=False)


def _is_json_number(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return text not in ("true", "false", "null", "NaN", "Infinity", "-Infinity") and text[0] != '"'


def _objects(rows: Rows, numbers: Sequence[str]) -> list[str]:
    return [
        "{"
        + ", ".join(
            f"{json.dumps(name)}: {_json_value(text, is_number=name in numbers)}"
            for name, text in row.items()
        )
        + "}"
        for row in rows
    ]


def as_json_lines(rows: Rows, numbers: Sequence[str] = ()) -> bytes:
    return ("\n".join(_objects(rows, numbers)) + "\n").encode()


def as_json_list(rows: Rows, numbers: Sequence[str] = ()) -> bytes:
    return ("[\n  " + ",\n  ".join(_objects(rows, numbers)) + "\n]\n").encode()


def as_parquet(rows: Rows, numbers: Sequence[str] = (), *, group_rows: int = 3) -> bytes:
    arrays = {}
    for name in columns_of(rows):
        texts = [row[name] or None for row in rows]
        kind = pa.string()
        if name in numbers and all(text is None or _is_json_number(text) for text in texts):
            is_whole = all(text is None or text.lstrip("-").isdecimal() for text in texts)
            kind = pa.int64() if is_whole else pa.decimal128(30, 8)
            read = int if is_whole else Decimal
            arrays[name] = pa.array([None if one is None else read(one) for one in texts], kind)
        else:
            arrays[name] = pa.array(texts, kind)
    out = io.BytesIO()
    pq.write_table(pa.table(arrays), out, row_group_size=group_rows)
    return out.getvalue()


def as_workbook(rows: Rows, numbers: Sequence[str] = (), *, sheet: str = "Sheet1") -> bytes:
    table = [columns_of(rows), *([row[name] for name in columns_of(rows)] for row in rows)]
    body = ""
    for number, cells in enumerate(table, start=1):
        body += f'<row r="{number}">'
        for at, text in enumerate(cells):
            place = f'r="{chr(ord("A") + at)}{number}"'
            is_number = number > 1 and columns_of(rows)[at] in numbers and _is_json_number(text)
            if is_number and text:
                body += f"<c {place}><v>{text}</v></c>"
            elif text:
                shown = f'<t xml:space="preserve">{escape(text)}</t>'
                body += f'<c {place} t="inlineStr"><is>{shown}</is></c>'
        body += "</row>"
    return workbook_of(f"<sheetData>{body}</sheetData>", sheet=sheet)


def workbook_of(sheet_xml: str, *, sheet: str = "Sheet1") -> bytes:
    """Make a workbook of one sheet (ECMA-376)."""
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    office = f"{_RELATIONS}/officeDocument"
    kinds = "application/vnd.openxmlformats-"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
        f'<Default Extension="rels" ContentType="{kinds}package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" '
        f'ContentType="{kinds}officedocument.spreadsheetml.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" '
        f'ContentType="{kinds}officedocument.spreadsheetml.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="r1" Type="{office}" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><sheets>'
        f'<sheet name="{escape(sheet)}" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="r1" Type="{_RELATIONS}/worksheet" '
        f'Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{_MAIN}">{sheet_xml}</worksheet>',
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, head + text)
    return out.getvalue()


def as_zip(members: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()
