"""Any bytes are a verdict, whatever a contract of language 2 says of the file."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.language.contracts import FILES, HEAD, ITEMS, ORDERS, sales
from tests.language.files import File
from tests.language.product import run
from worker.validate.stream import BlockSizes

TEXT = sales("1,2025-03-01,A,1,5.00", '2,2025-03-02,"B, ""c""",2,"7"')
WORDS = (
    "",
    'quote = ""',
    'delimiter = ";"',
    'encoding = "utf-16"',
    'encoding = "cp1252"',
    'encoding = "shift_jis"',
    'escape = "\\\\"',
    'begins = "SKU"',
    'fill = "Order"',
    'columns = ["Order", "Date", "SKU", "Qty", "Total"]',
    "minor_units = true",
    'dates = ["seconds"]',
)


@st.composite
def hostile(draw: st.DrawFn) -> bytes:
    """Draw a good file with some of its bytes replaced, taken out, or put elsewhere."""
    data = bytearray(TEXT.encode(draw(st.sampled_from(("utf-8", "utf-16", "cp1252")))))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        part = draw(st.sampled_from((b'"', b"\\", b"\0", b"\r", b"\n", b",", b"\xff", b"sep=;\n")))
        data[at : at + draw(st.integers(0, 3))] = draw(
            st.one_of(st.just(part), st.binary(max_size=5))
        )
    return bytes(data)


@given(
    hostile(),
    st.lists(st.sampled_from(WORDS), unique_by=lambda word: word.split(" ")[0]),
    st.integers(1, 200),
)
@settings(suppress_health_check=list(HealthCheck))
def test_any_bytes_are_a_verdict(data: bytes, words: list[str], block_bytes: int) -> None:
    contract = HEAD + FILES + "\n".join(words) + "\n" + ORDERS + ITEMS
    file = File("sales.csv", data.decode("latin-1"), 0)
    sizes = BlockSizes(block_bytes=block_bytes, overlap_bytes=0)
    with tempfile.TemporaryDirectory() as home:
        outcome = run(Path(home), contract, [file], block_sizes=sizes, encoding="latin-1")
    entry = outcome.entries["sales.csv"]
    assert entry.rows_read == entry.rows_clean + entry.rows_rejected + entry.rows_passed_over


@pytest.mark.parametrize(
    "text",
    ["x" * 300_000, '"' + "x" * 300_000, "," * 300_000, "Order\rDate\r", "\0" * 1000, "\n" * 1000],
)
def test_a_strange_header_is_refused(tmp_path: Path, text: str) -> None:
    outcome = run(tmp_path, HEAD + FILES + ORDERS + ITEMS, [File("sales.csv", text, 0)])
    assert outcome.entries["sales.csv"].verdict == "refused"
    assert len(str(outcome.entries["sales.csv"].reason)) < 2000
