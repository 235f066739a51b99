"""The recount reads raw files of every format itself."""

from __future__ import annotations

import bz2
import gzip
import io
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.formats.test_same_kpis import CONTRACT, FORMATS, some_rows
from tests.formats.writers import as_csv
from tests.language.audited import publish_and_audit

COMPRESSED = {
    "sales.csv.gz": lambda rows: gzip.compress(as_csv(rows)),
    "sales.csv.bz2": lambda rows: bz2.compress(as_csv(rows)),
    "sales.csv": lambda rows: as_csv(rows).decode().encode("utf-16"),
}


@pytest.mark.parametrize("name", [*FORMATS, *COMPRESSED])
async def test_a_file_of_any_format_is_counted_from_its_bytes(tmp_path: Path, name: str) -> None:
    data = (FORMATS | COMPRESSED)[name](some_rows())
    contract = CONTRACT.replace("FORMS", "")
    blind, found = await publish_and_audit(tmp_path, contract, [(name, data)])
    assert (blind.differences, found.differences, found.recount.refused) == ((), (), {})
    assert (len(found.recount.raw_files), len(found.recount.clean_files)) == (1, 0)
    assert len(found.recount.days) == found.days == 1


async def test_columns_of_parquet_are_read_by_their_types(tmp_path: Path) -> None:
    moment = datetime(2025, 3, 1, 23, 30, tzinfo=ZoneInfo("America/New_York"))
    table = pa.table(
        {
            "Order": pa.array([1, 2, 2], pa.int32()),
            "Date": pa.array([moment] * 3, pa.timestamp("ns", "America/New_York")),
            "User": pa.array([b"u", None, b"v"], pa.binary()),
            "Status": pa.array(["paid", "VOID", "back"]).dictionary_encode(),
            "Changed": pa.array([1, 2, 3], pa.int8()),
            "Currency": pa.array(["EUR", None, "EUR"]),
            "SKU": pa.array([1.5, 2.0, float("nan")], pa.float32()),
            "Type": pa.array(["T", "Fee", "U"], pa.large_string()),
            "Qty": pa.array([1.5, 2.0, 3.0], pa.float32()),
            "Price": pa.array([Decimal("1234.50"), None, Decimal("0.00005")], pa.decimal128(20, 8)),
            "Off": pa.array([0.1, None, 1e-05], pa.float64()),
        }
    )
    out = io.BytesIO()
    pq.write_table(table, out)
    contract = CONTRACT.replace("FORMS", 'numbers = "1.234,50"')
    _, found = await publish_and_audit(tmp_path, contract, [("sales.parquet", out.getvalue())])
    assert (found.differences, found.recount.refused, found.days) == ((), {}, 1)
    assert len(found.recount.raw_files) == 1
