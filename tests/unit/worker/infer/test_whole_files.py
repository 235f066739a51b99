"""Decisions that rows far behind the first ones of a file make."""

from __future__ import annotations

import codecs
import csv
import io
import zipfile
from pathlib import Path

import pytest

from kpi.inference import text_files
from kpi.inference.contract import infer_contract
from kpi.inference.samples import TableSample
from tests.formats.writers import as_csv, as_json_lines, as_json_list, as_parquet, as_workbook
from worker.infer import reading
from worker.infer.reading import read_samples
from worker.inputs import open_inputs

ROWS = 400


@pytest.fixture
def short_heads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take 50 rows for a sample, and small blocks behind them, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    for module in (text_files, reading):
        monkeypatch.setattr(module, "SAMPLE_ROWS", 50)
    monkeypatch.setattr(reading, "BLOCK_BYTES", 4096)


async def sample_of(content: bytes, name: str = "sales.csv") -> TableSample:
    path = Path("in", name)
    path.parent.mkdir()
    path.write_bytes(content)
    async with open_inputs(["in"]) as places:
        (sample,) = await read_samples(places)
    return sample


def sales(late: int = ROWS) -> str:
    """Rows whose last ones have a day above 12, another status, an id in letters, an old line."""
    lines = ["order_id,line_id,order_date,status,note,sku,price"]
    for number in range(ROWS):
        is_late = number >= late
        lines.append(
            f"{'W' if is_late else ''}{number},{number - late if is_late else number},"
            f"{1 + number % 9:02}/{25 if is_late else 1 + number % 12:02}/2025,"
            f'{"refunded" if is_late else "paid"},"a\nb ""c""",S{number % 5},{number % 7 + 1}.50'
        )
    return "\n".join(lines) + "\n"


@pytest.mark.usefixtures("short_heads")
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
async def test_late_rows_decide(encoding: str) -> None:
    text = sales(late=ROWS - 5)
    if encoding == "cp1252":
        text = text.replace("a\nb", "é\nü")
    sample = await sample_of(text.encode(encoding))
    assert sample.whole
    assert sample.rows_total == ROWS
    inferred = infer_contract([sample], {})
    assert not inferred.questions
    assert 'dates = ["12/31/2025"]' in inferred.text
    assert 'returned = { status = ["refunded"] }' in inferred.text
    assert 'key = "id"' not in inferred.text
    assert 'order_id = "order_id"  # texts' in inferred.text


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def as_zip(rows: list[dict[str, str]]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("sales.csv", as_csv(rows))
    return out.getvalue()


FORMATS = {
    "sales.jsonl": as_json_lines,
    "sales.json": as_json_list,
    "sales.parquet": as_parquet,
    "sales.xlsx": as_workbook,
    "sales.zip": as_zip,
}


@pytest.mark.usefixtures("short_heads")
@pytest.mark.parametrize("name", FORMATS)
async def test_late_rows_of_each_format_decide(name: str) -> None:
    content = FORMATS[name](rows_of(sales(late=ROWS - 5)))
    sample = await sample_of(content, name)
    assert sample.whole
    assert sample.rows_total == ROWS
    inferred = infer_contract([sample], {})
    assert not inferred.questions
    assert 'dates = ["12/31/2025"]' in inferred.text
    assert 'returned = { status = ["refunded"] }' in inferred.text
    assert 'key = "id"' not in inferred.text
    assert 'order_id = "order_id"  # texts' in inferred.text


@pytest.mark.usefixtures("short_heads")
async def test_without_late_rows_the_day_is_a_question() -> None:
    sample = await sample_of(codecs.BOM_UTF8 + sales().encode())
    assert sample.repeated == frozenset()
    assert [one.word for one in infer_contract([sample], {}).questions] == ["dates"]
