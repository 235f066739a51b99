"""A chunk that `pyarrow.csv` gets in blocks is read as it is in one piece."""

from __future__ import annotations

import uuid
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.csv as pacsv
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kpi.validation.arrow_csv
from kpi.contract.loading import built_in
from kpi.csv.chunk import Chunk
from kpi.csv.scan import SCAN_BLOCK_BYTES
from kpi.validation.arrow_csv import (
    ConversionFailure,
    explain_failure,
    may_have_deep_exponent,
    may_have_unreal_offset,
    read_csv,
)
from kpi.validation.parser import ChunkParser
from kpi.validation.rejects import ParsedChunk
from kpi.validation.text import RAW_DICTIONARY
from tests.unit.kpi.columns import chunk_of, layout_of, with_rejecting_columns

HEADER = b"id,order_id,product_id,status,created_at,sale_price"
TIME = b"2025-03-01T10:00:00"
QUOTED = [b'"a,b"', b'"a\n\nb\n"', b'"' + b"\n" * 90 + b'"']
LINE_ENDS = st.sampled_from([b"\n", b"\r\n"])


def numbers(seed: int, contract: str) -> list[bytes]:
    """Three ids."""
    found = range(seed, seed + 3)
    if contract == "uuid-ids":
        return [str(uuid.UUID(int=one << 64 | one)).encode() for one in found]
    return [b"%d" % one for one in found]


@st.composite
def files(draw: st.DrawFn, contract: str) -> bytes:
    """Items, few of them with something wrong, of two lengths; blank lines between some."""
    end = draw(LINE_ENDS)
    data = b""
    for number in range(draw(st.integers(0, 25))):
        fields = [
            *numbers(number, contract),
            draw(st.sampled_from([b"shipped", b"returned", b"", b"s" * 200, *QUOTED])),
            draw(st.sampled_from([TIME, b""])),
            b"9.50",
        ]
        wrong = draw(st.sampled_from([*["nothing"] * 12, "width", "price", "time", "rule"]))
        if wrong == "width":
            fields = fields[: draw(st.integers(1, 5))]
        elif wrong == "rule":
            fields[5] = b"-1.00"
        elif wrong != "nothing":
            fields[5 if wrong == "price" else 4] = b"x"
        data += b",".join(fields) + end * draw(st.sampled_from([1, 1, 1, 2]))
    return data.removesuffix(end) if draw(st.booleans()) else data


def parsed(data: bytes, contract: str, block_bytes: int, times: int) -> list[ParsedChunk]:
    """What becomes of a chunk; of the same chunk again once its bad columns are known."""
    chosen = with_rejecting_columns(built_in(contract))
    parser = ChunkParser(layout_of(chosen, HEADER, "order_items"))
    with mock.patch.object(kpi.validation.arrow_csv, "ARROW_BLOCK_BYTES", block_bytes):
        return [parser.parse(chunk_of(data, chosen)) for _ in range(times)]


@pytest.mark.slow
@pytest.mark.parametrize("contract", ["default", "uuid-ids"])
@given(data=st.data(), block_bytes=st.integers(1, 700))
def test_a_chunk_in_blocks(contract: str, data: st.DataObject, block_bytes: int) -> None:
    file = data.draw(files(contract))
    if not file:
        return
    found = parsed(file, contract, block_bytes, 2)
    for one, whole in zip(found, parsed(file, contract, len(file) + 1, 2), strict=True):
        assert one.clean.equals(whole.clean)
        assert all(column.num_chunks <= 1 for column in one.clean.columns)
        assert one.rejects.to_pylist() == whole.rejects.to_pylist()
        assert (one.rows, one.reasons, one.is_key_increasing) == (
            whole.rows,
            whole.reasons,
            whole.is_key_increasing,
        )


def test_blocks_are_used_where_each_of_them_ends_a_record() -> None:
    file = b"".join(
        b",".join([*numbers(number, "default"), b"shipped", TIME, b"9.50\n"])
        for number in range(50)
    )
    sizes: list[int] = []
    judged: list[int] = []

    def note(data: pa.BufferReader, *, read_options: pacsv.ReadOptions, **others: Any) -> pa.Table:
        sizes.append(read_options.block_size)
        table = read(data, read_options=read_options, **others)
        judged.append(sum(kind in (pa.binary(), RAW_DICTIONARY) for kind in table.schema.types))
        return table

    def sizes_of(file: bytes, times: int = 1) -> list[int]:
        sizes.clear()
        judged.clear()
        parsed(file, "default", 300, times)
        return sizes

    read = pacsv.read_csv
    with mock.patch.object(pacsv, "read_csv", note):
        assert sizes_of(file) == [300]
        assert sizes_of(file.replace(TIME, b"x", 1), 2) == [300, 300, 300]
        assert sizes_of(file.replace(TIME, TIME + b"Z")) == [300, 300]
        assert judged == [0]
        # All columns are judged once one has failed, and only bad ones from then on.
        bad = file.replace(TIME, b"x", 1).replace(b"9.50", b"x", 1).replace(b"shipped", b"\xff", 1)
        assert sizes_of(bad, 2) == [300, 300, 300]
        assert judged == [6, 3]
        assert sizes_of(file.replace(b"shipped", b'"shipped"', 3)) == [300]
        long = file.replace(b"shipped", b"s" * 400, 1)
        assert sizes_of(long) == [len(long) + 1]
        lines = file.replace(b"shipped", b'"' + b"s\n" * 200 + b'"', 1)
        assert sizes_of(lines) == [len(lines) + 1]
        odd = file.replace(b"shipped", b'ship"ped', 1)
        assert sizes_of(odd) == [len(odd) + 1]
        even = file.replace(b"shipped", b's"hip"ped', 1)
        assert sizes_of(even) == [len(even) + 1]


@pytest.mark.parametrize("times", [1, 2])
def test_decimals_of_every_block_are_counted(times: int) -> None:
    """Where another column is in doubt; the converter lets pass a digit more than there may be."""
    rows = [
        b",".join([*numbers(number, "default"), b"shipped", TIME, b"9.50\n"])
        for number in range(50)
    ]
    rows[3] = rows[3].replace(TIME, b"x")
    rows[45] = rows[45].replace(b"9.50", b"12345678901234")
    found = parsed(b"".join(rows), "default", 300, times)[-1]
    assert found.rejects.column("row").to_pylist() == [3, 45]


@pytest.mark.parametrize("row", [0, 7_499, 14_999])
def test_hexadecimal_is_found_wherever_it_stands(row: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kpi.validation.arrow_csv, "SCAN_BLOCK_BYTES", 1000)
    rows = [
        b",".join([*numbers(number, "default"), b"shipped", TIME, b"9.50\n"])
        for number in range(15_000)
    ]
    rows[row] = b",".join([*numbers(row, "default")[:2], b"0X1F", b"shipped", TIME, b"9.50\n"])
    [found] = parsed(b"".join(rows), "default", kpi.validation.arrow_csv.ARROW_BLOCK_BYTES, 1)
    assert (found.rejects.column("row").to_pylist(), found.reasons) == ([row], {"wrong_type": 1})


def test_hexadecimal_is_found_at_the_very_end() -> None:
    contract = built_in("default")
    layout = layout_of(contract, b"created_at,status,user_id,order_id", "orders")
    rows = b"\n".join(b"%b,shipped,1,%b" % (TIME, number) for number in (b"1", b"0x2"))
    found = ChunkParser(layout).parse(chunk_of(rows, contract))
    assert found.rejects.column("row").to_pylist() == [1]


def failure_of(record: bytes, kind: pa.DataType) -> tuple[str, ConversionFailure | None]:
    """Read `0,` + `record` with its second column typed; the message, and what we make of it."""
    contract = built_in("default")
    layout = layout_of(contract, b"id,category", "products")
    types = {"f0": pa.int64(), "f1": kind}
    chunk = chunk_of(b"0," + record + b"\n", contract)
    with pytest.raises(pa.ArrowInvalid) as raised:
        read_csv(chunk, ["f0", "f1"], types, layout, lambda _: "error", is_utf8=True)
    return str(raised.value), explain_failure(raised.value)


NAIVE, ZONED = pa.timestamp("us"), pa.timestamp("us", "UTC")


@pytest.mark.parametrize(
    ("record", "kind", "message", "failure"),
    [
        (
            b"x",
            pa.int64(),
            "In CSV column #1: Row #1: CSV conversion error to int64: invalid value 'x'",
            ConversionFailure(1, is_zone_mismatch=False),
        ),
        (
            b"2025-03-01T10:00:00Z",
            NAIVE,
            "In CSV column #1: Row #1: CSV conversion error to timestamp[us]: "
            "expected no zone offset in '2025-03-01T10:00:00Z'",
            ConversionFailure(1, is_zone_mismatch=True),
        ),
        (
            b"2025-03-01T10:00:00",
            ZONED,
            "In CSV column #1: Row #1: CSV conversion error to timestamp[us, tz=UTC]: "
            "expected a zone offset in '2025-03-01T10:00:00'",
            ConversionFailure(1, is_zone_mismatch=True),
        ),
        (
            b"1,2",
            pa.binary(),
            "CSV parse error: Row #1: Expected 2 columns, got 3: 0,1,2",
            None,
        ),
        (
            b"expected no zone offset in",
            pa.int64(),
            "In CSV column #1: Row #1: CSV conversion error to int64: "
            "invalid value 'expected no zone offset in'",
            ConversionFailure(1, is_zone_mismatch=False),
        ),
        (
            b"In CSV column #0: x,y",
            pa.binary(),
            "CSV parse error: Row #1: Expected 2 columns, got 3: 0,In CSV column #0: x,y",
            None,
        ),
    ],
    ids=["value", "no-zone", "zone", "columns", "quoted-zone", "quoted-column"],
)
def test_messages_of_arrow_are_understood(
    record: bytes, kind: pa.DataType, message: str, failure: ConversionFailure | None
) -> None:
    """A new version of Arrow that words an error differently fails here, not in a shop's file."""
    got, explained = failure_of(record, kind)
    assert got.startswith(message)
    assert explained == failure


@pytest.mark.parametrize(
    ("time", "may_have"),
    [
        *((b"2025-03-01T10:00:00+15:00", True), (b"2025-03-01 10:00-13", True)),
        *((b"2025-03-01 10-2300", True), (b"2025-03-01 10:00:00.123456789-1230", True)),
        *((b"2025-03-01 10:00:00.5+23:59", True), (b"2025-03-01T10:00:00+13:45", False)),
        *((b"2025-12-15T10:00:00-11:30", False), (b"8f14e45f-13e9-2167-a13b-203344556677", False)),
        *((b"12.5,2025-12-23T10:00:00.75+00:00", False), (b"2025-12-15", False)),
    ],
)
def test_an_offset_beyond_the_limits_is_found_across_blocks(time: bytes, may_have: bool) -> None:
    for before in (20, *range(SCAN_BLOCK_BYTES - len(time) - 4, SCAN_BLOCK_BYTES + 5)):
        assert may_have_unreal_offset(Chunk.of(b"x" * before + time + b",1\n")) == may_have, before


@pytest.mark.parametrize(
    ("text", "may_have"),
    [
        *((b"2.225e-309", True), (b"1E-40", True), (b"7.e-28", True), (b"1e-5", False)),
        *((b"-1.5e-300", True), (b"1" * 60 + b"e-99", True), (b'"1e-77"', True)),
        *((b"8f14e45e-4213-11ee-913e-203344556677", False), (b"1234567e-1234-1123", False)),
        *((b"10.5e+40", False), (b"complete-12", False)),
    ],
)
def test_a_deep_exponent_is_found_across_blocks(text: bytes, may_have: bool) -> None:
    for before in (20, *range(SCAN_BLOCK_BYTES - len(text) - 4, SCAN_BLOCK_BYTES + 5)):
        data = b"x" * before + b"," + text + b",1\n"
        assert may_have_deep_exponent(Chunk.of(data)) == may_have, before
