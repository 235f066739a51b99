"""Quotes that nobody needs are left out, and every verdict is the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.csv as pacsv
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import kpi.parse
import kpi.unquoted
from kpi.chunk import Chunk
from kpi.contract import Contract, built_in
from kpi.parse import ChunkParser
from kpi.rejects import Parsed
from kpi.unquoted import unquoted
from tests.kpi.columns import chunk_of, layout_of

HEADER = b"id,order_id,product_id,status,created_at,sale_price"
ROW = [b"7", b"3", b"5", b"shipped", b"2025-03-01T10:00:00", b"9.50"]
TEXTS = st.sampled_from(
    [
        *ROW,
        b"",
        b"12,50",
        b'a""b',
        b'""',
        b"7\n",
        b"\r7",
        b"\n",
        b" 8",
        b"9\t",
        b"a\r\nb",
        b"\xff,",
        b"x",
    ]
)
LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """Items, many of their fields quoted."""
    end = draw(LINE_ENDS)
    data = b""
    for _ in range(draw(st.integers(1, 8))):
        fields = list(ROW)
        for at in draw(st.lists(st.integers(0, 5), max_size=3)):
            fields[at] = b'"' + draw(TEXTS) + b'"'
        wrong = draw(st.sampled_from([0, 0, 0, 0, 1, 2]))
        if wrong:
            fields = fields[: draw(st.integers(1, 5))] if wrong == 1 else [*fields, b'"a,b"']
        data += b",".join(fields) + end * draw(st.sampled_from([1, 1, 1, 2]))
    data = draw(st.sampled_from([b"", b"", b'""' + end])) + data
    return data.removesuffix(end) if draw(st.booleans()) else data


def parsed(data: bytes, contract: Contract, few: int, header: bytes = HEADER) -> Parsed:
    parser = ChunkParser(layout_of(contract, header, "order_items"))
    with mock.patch.object(kpi.unquoted, "FEW_QUOTES", few):
        return parser.parse(chunk_of(data, contract))


CONTRACTS = [
    built_in("default"),
    built_in("string-ids"),
    replace(built_in("default"), null_values=("", "12,50", "\n")),
]


@pytest.mark.parametrize("contract", CONTRACTS)
@given(data=files())
@example(data=b'""\n')
@example(data=b'7,3,5,"a,b",2025-03-01T10:00:00,"9,50"\n')
@settings(max_examples=300)
def test_verdicts_are_the_same_without_quotes(contract: Contract, data: bytes) -> None:
    found, expected = parsed(data, contract, 1000), parsed(data, contract, 0)
    assert found.clean.equals(expected.clean)
    assert found.rejects.to_pylist() == expected.rejects.to_pylist()
    assert (found.rows, found.reasons) == (expected.rows, expected.reasons)


def test_a_delimiter_that_may_stand_in_a_number_needs_its_quotes() -> None:
    """Blanks beside one are passed over, and tabs."""
    contract = replace(built_in("default"), delimiter="\t")
    header, row = HEADER.replace(b",", b"\t"), b"\t".join([*ROW[:5], b'"9.50\t"\n'])
    found = parsed(row, contract, 1000, header)
    assert (found.clean.num_rows, found.rejects.num_rows) == (1, 0)


@pytest.mark.parametrize(
    ("data", "without"),
    [
        (b'1,"2"\n"3","4"\n', b"1,2\n3,4\n"),
        (b'1,"2,5"\n', b"1,2?5\n"),
        (b'1,"2""\n"\r\n3,"4\r"\r"5",6', b"1,2???\r\n3,4?\r5,6"),
        (b'"a,b",2\n', None),
        (b'1,2,"a,b"\n', None),
        (b'"a\nb,","2,5"\n', None),
        (b'"a","2,5"\n', b"a,2?5\n"),
        (b'1,"2\n,3","4,5"\n', None),
        (b'1,2\n""\n3,4\n', None),
        (b'""', None),
        (b'"",1\n1,""\n', b",1\n1,\n"),
        (b'x"y,1\n"a",2', None),
    ],
)
def test_what_is_left_of_a_chunk(data: bytes, without: bytes | None) -> None:
    chunk = Chunk.of(b"before\n" + data + b'\n"behind"')
    chunk = replace(
        chunk,
        data=memoryview(chunk.data.obj)[7 : 7 + len(data)],
        few_quotes=chunk.quotes[:-2] - 7,
    )
    left = unquoted(chunk, [False, True], delimiter=",")
    if without is None:
        assert left is chunk
    else:
        assert (bytes(left.data), left.plain, left.paired) == (without, True, True)


def test_a_few_quotes_do_not_make_the_parser_look_for_more() -> None:
    options = []

    def note(
        data: pa.BufferReader, *, parse_options: pacsv.ParseOptions, **others: Any
    ) -> pa.Table:
        options.append(parse_options.quote_char)
        return read(data, parse_options=parse_options, **others)

    read = pacsv.read_csv
    rows = [b",".join([*ROW[:5], price]) + b"\n" for price in (b"1.00", b'"2.00"', b'"3,00"')]
    with mock.patch.object(pacsv, "read_csv", note):
        found = parsed(b"".join(rows), built_in("default"), 1000)
        assert set(options) == {False}
        assert (found.clean.num_rows, found.rejects.num_rows) == (2, 1)
        options.clear()
        parsed(
            b"".join([*rows, rows[0].replace(b"shipped", b'"ship,ped"')]), built_in("default"), 1000
        )
        assert set(options) == {'"'}
