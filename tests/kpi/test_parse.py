"""The quick and the careful way give the same verdict on every value, and rows never mix."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kpi.contract import Contract, parse_contract
from kpi.layout import Layout, Refusal, read_layout
from kpi.parse import ChunkParser, Parsed
from kpi.reasons import Reason
from kpi.records import RecordSplitter

CONTRACT = """
name = "test"
[time]
source_time_zone = "Europe/Berlin"
[orders]
key = ["order_id"]
[orders.columns]
order_id = { type = "integer", required = true, min = -5 }
user_id = { type = "string", required = true, max_bytes = 12 }
created_at = { type = "timestamp", required = true }
status = { type = "string", allowed = ["delivered", "returned"] }
price = { type = "decimal", precision = 6, scale = 2, min = 0, max = 999.5 }
[order_items]
key = ["order_id"]
[order_items.columns]
order_id = { type = "integer", required = true }
product_id = { type = "string", required = true }
sale_price = { type = "decimal", required = true }
[products]
key = ["id"]
[products.columns]
id = { type = "string", required = true }
"""
HEADER = b"order_id,user_id,created_at,status,price,note"


def contract() -> Contract:
    return parse_contract(CONTRACT, source="test")


def layout_of(found: Contract) -> Layout:
    layout = read_layout(HEADER, found, found.datasets["orders"])
    assert not isinstance(layout, Refusal)
    return layout


def parse(data: bytes, *, careful: bool = False) -> Parsed:
    found = contract()
    parser = ChunkParser(layout_of(found))
    if careful:
        parser._suspects.update(found.datasets["orders"].columns)
    chunk = RecordSplitter(max_record_bytes=1 << 20).push(data, last=True)
    assert chunk is not None
    return parser.parse(chunk)


def outcome(parsed: Parsed) -> tuple[list[object], list[object]]:
    return parsed.clean.to_pylist(), parsed.rejects.drop_columns(["byte_offset"]).to_pylist()


INTEGERS = [
    "1",
    "-5",
    "-6",
    "007",
    " 7 ",
    "+7",
    "0x1F",
    "0X1f",
    "7.0",
    "1e3",
    "",
    "abc",
    "-",
    "--1",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "00000000000000000000001",
    "1_0",
    "\u0661",
    "123456789012345678",
    "\t8",
]
TIMES = [
    "2025-03-01T10:00:00",
    "2025-03-01 10:00",
    "2025-03-01",
    "2025-03-30T02:30:00",
    "2025-10-26T02:30:00",
    "2025-02-29",
    "2024-02-29T23:59:59.5",
    "2016-12-31T23:59:60",
    "never",
    "2025-03-01T10:00:00Z",
    "2025-03-01T10:00:00+0530",
    "2025-03-01T10:00:00-14:00",
    "",
    "20250301",
    "2025-03-01T10:00:00.1234567",
    "2025-03-01T10:00:00.123456789Z",
    "0001-01-01",
    "9999-12-31T23:00:00",
    "0000-01-01",
    " 2025-03-01T10:00:00",
    "2025-13-45T00:00:00",
    "2025-04-31",
    "2025-3-1",
    "2025-03-01T24:00:00",
    "2025-03-01T10:00:00+99:00",
    "2025-03-01T10:00:00.12345678901234",
]
PRICES = [
    "0",
    "1.5",
    "999.50",
    "999.51",
    "-0",
    "-0.01",
    "NaN",
    "inf",
    "1e308",
    "1e2",
    "1E-2",
    "7.125",
    "7.1200",
    ".5",
    "5.",
    ".",
    "12,5",
    "",
    "0x10",
    "12345678901234567890",
    "9999.99",
    "99999.99",
    " 3 ",
    "+3",
]
STATUSES = ["delivered", "returned", "", "lost", "Delivered"]
USERS = ["u", "", "é" * 6, "é" * 7, "a,b", 'q"q', "x\ny", "\x00", " "]


def field(text: str) -> bytes:
    return b'"' + text.encode().replace(b'"', b'""') + b'"'


rows = st.tuples(
    st.sampled_from(INTEGERS) | st.integers(-(10**20), 10**20).map(str),
    st.sampled_from(USERS) | st.text(max_size=8),
    st.sampled_from(TIMES) | st.text("0123456789-T:.Z+ ", max_size=24),
    st.sampled_from(STATUSES),
    st.sampled_from(PRICES) | st.decimals(allow_nan=False, places=3).map(str),
    st.sampled_from(["", "note", "0x"]),
).map(lambda texts: b",".join(field(text) for text in texts if text is not None))
junk = st.sampled_from(
    [
        b"1,2",
        b"1,2,3,4,5,6,7",
        b'1,"x',
        b'"a"b,c,d,e,f,g',
        b"\xff,\xfe,\xfd,a,b,\xc3",
        b",,,,,",
        b"1,u\xff,2025-01-01,,,",
    ]
)


@given(st.lists(rows | junk, min_size=1, max_size=12))
@settings(max_examples=400, deadline=None, derandomize=True)
@example([b"1,u,2025-03-01T10:00:00,,,"] * 3 + [b"0x1F,u,2025-03-01T10:00:00Z,,,"])
def test_both_ways_and_each_row_alone_give_the_same(records: list[bytes]) -> None:
    data = b"\n".join(records) + b"\n"
    quick = parse(data)
    assert outcome(quick) == outcome(parse(data, careful=True))
    assert quick.rows == quick.clean.num_rows + quick.rejects.num_rows
    # A quote that is never closed may take in what follows up to the next quote, by the grammar;
    # apart from it every record fares as if it were alone.
    if b'1,"x' in records:
        return
    alone = [parse(record + b"\n") for record in records]
    assert outcome(quick)[0] == [row for one in alone for row in outcome(one)[0]]
    reasons = [row["reasons"] for row in quick.rejects.to_pylist()]
    assert reasons == [row["reasons"] for one in alone for row in one.rejects.to_pylist()]
    for reject in quick.rejects.to_pylist():
        start = reject["byte_offset"]
        assert data[start : start + len(reject["raw"])] == reject["raw"]


@pytest.mark.parametrize(
    ("record", "reason", "column"),
    [
        (b",u,2025-03-01,,,", Reason.MISSING_VALUE, "order_id"),
        (b"x,u,2025-03-01,,,", Reason.WRONG_TYPE, "order_id"),
        (b"-6,u,2025-03-01,,,", Reason.OUT_OF_RANGE, "order_id"),
        (b"1,u,0001-01-01,,,", Reason.OUT_OF_RANGE, "created_at"),
        (b"1,u,2025-03-01,,-1,", Reason.OUT_OF_RANGE, "price"),
        (b"1,u,2025-03-01,lost,,", Reason.NOT_ALLOWED, "status"),
        (b"1,uuuuuuuuuuuuu,2025-03-01,,,", Reason.TOO_LONG, "user_id"),
        (b"1,\xff,2025-03-01,,,", Reason.UNDECODABLE, "user_id"),
        (b"1,u,2025-03-01,,,\xff", Reason.UNDECODABLE, "note"),
        (b"1,u", Reason.WRONG_COLUMN_COUNT, None),
        (b'1,"u"x,2025-03-01,,,', Reason.MALFORMED_QUOTES, None),
    ],
)
def test_every_reason(record: bytes, reason: Reason, column: str | None) -> None:
    good = b"1,u,2025-03-01T10:00:00,returned,5.00,hm\n"
    parsed = parse(good + record + b"\n" + good)
    assert parsed.clean.num_rows == 2
    (reject,) = parsed.rejects.to_pylist()
    assert reject["row"] == 1
    assert reject["raw"] == record
    assert [(one["reason"], one["column"]) for one in reject["reasons"]] == [(reason, column)]
    assert all(one["expected"] for one in reject["reasons"])


def test_local_times_are_read_in_the_time_zone_of_the_source() -> None:
    parsed = parse(b"1,u,2025-01-01T00:30:00,,,\n2,u,2025-07-01T00:30:00,,,\n")
    assert [one.isoformat() for one in parsed.clean.column("created_at").to_pylist()] == [
        "2024-12-31T23:30:00+00:00",
        "2025-06-30T22:30:00+00:00",
    ]
