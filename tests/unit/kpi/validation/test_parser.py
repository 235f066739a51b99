"""Every record becomes one clean row or one reject with its row, byte offset and raw bytes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from unittest import mock

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kpi.validation.reading
from kpi.contract.loading import built_in, parse_contract
from kpi.contract.model import Contract
from kpi.contract.reject_reasons import Reason
from kpi.validation.parser import ChunkParser
from kpi.validation.rejects import ParsedChunk, is_strictly_increasing
from tests.support.profiles import examples
from tests.unit.kpi.columns import (
    chunk_of,
    chunks_of,
    contract_of,
    layout_of,
    parser_of,
    with_rejecting_columns,
)

STRICT = built_in().text.replace("max_record_bytes = 16777216", "max_record_bytes = 1024")
CONTRACT = with_rejecting_columns(parse_contract(STRICT, source="default with short records"))
HEADER = b"id,note,sku,cost,category,retail_price"


@dataclass(frozen=True)
class Record:
    """A record of a file, and what must become of it.

    Attributes:
        raw: Its bytes without line end; `%d` is replaced by its number.
        reasons: Reason and column of each fault; empty where it is clean.
        clean: Column -> value, of the columns that tell clean rows apart.
    """

    raw: bytes
    reasons: tuple[tuple[Reason, str | None], ...] = ()
    clean: tuple[object, ...] = ()


def broken(raw: bytes, *reasons: tuple[Reason, str | None]) -> Record:
    return Record(raw, reasons)


def good(raw: bytes, note: str | None, sku: str | None, category: str) -> Record:
    return Record(raw, (), (note, sku, category))


RECORDS = [
    good(b"%d,,A-1,1.50,Books,3.00", None, "A-1", "Books"),
    good(b'%d,"a ""note""","A,1",,"Toys\nand games",', 'a "note"', "A,1", "Toys\nand games"),
    good(b'%d,5" pipe,,+1,Caf\xc3\xa9, 2 ', '5" pipe', None, "Café"),
    good(b'%d,"x\r\ny",0x1F,1e2,Books,0', "x\r\ny", "0x1F", "Books"),
    good(b'"%d","","","","Books",""', None, None, "Books"),
    broken(b"%d,,,,,", (Reason.MISSING_VALUE, "category")),
    broken(b"%d,,,,Books,-1", (Reason.OUT_OF_RANGE, "retail_price")),
    broken(b"%d,,,abc,Books,1", (Reason.WRONG_TYPE, "cost")),
    good(b"%d,,,1.505,Books,1", None, None, "Books"),
    broken(b"%d,,,99999999999999,Books,1", (Reason.WRONG_TYPE, "cost")),
    broken(b"%d.5,,,1,Books,1", (Reason.WRONG_TYPE, "id")),
    broken(b"0x%d,,,1,Books,1", (Reason.WRONG_TYPE, "id")),
    broken(b",no id %d,,1,Books,1", (Reason.MISSING_VALUE, "id")),
    good(b"%d,livr\xe9e,,1,Books,1", None, None, "Books"),
    broken(b"%d,,livr\xe9e,1,Books,1", (Reason.UNDECODABLE, "sku")),
    broken(b"%d,,,1,\xff,1", (Reason.UNDECODABLE, "category")),
    broken(b"%d,,,1," + b"c" * 1001 + b",1", (Reason.TOO_LONG, "category")),
    broken(
        b",%d,,x,,-1",
        (Reason.WRONG_TYPE, "cost"),
        (Reason.MISSING_VALUE, "id"),
        (Reason.MISSING_VALUE, "category"),
        (Reason.OUT_OF_RANGE, "retail_price"),
    ),
    broken(b"%d,too,few", (Reason.WRONG_COLUMN_COUNT, None)),
    broken(b"%d,,,1,Books,1,surplus", (Reason.WRONG_COLUMN_COUNT, None)),
    broken(b"%d", (Reason.WRONG_COLUMN_COUNT, None)),
    broken(b'"%d","",', (Reason.WRONG_COLUMN_COUNT, None)),
    broken(b'%d,"never closed,,1,Books,1', (Reason.MALFORMED_QUOTES, None)),
    broken(b'%d,"text"behind,,1,Books,1', (Reason.MALFORMED_QUOTES, None)),
    broken(b"%d,,," + b"9" * 1100 + b",Books,1", (Reason.RECORD_TOO_LONG, None)),
]
CONTRACT_FOR_LENGTH = with_rejecting_columns(
    parse_contract(STRICT.replace("max_bytes = 1024", "max_bytes = 1000"), source="short texts")
)


@dataclass(frozen=True)
class File:
    """Bytes of a file, and where its records stand."""

    data: bytes
    offsets: list[int]
    raws: list[bytes]
    records: list[Record]


@st.composite
def files(draw: st.DrawFn) -> File:
    """Records in any order, blank lines between some, any line end behind each."""
    some = st.one_of(st.sampled_from(RECORDS), st.sampled_from(RECORDS[:3]))
    chosen: list[Record] = draw(st.lists(some, max_size=14))
    # A lone carriage return is a line end as well; in front of a line feed it is half of one.
    line_end = draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
    data = b""
    offsets, raws = [], []
    for number, record in enumerate(chosen):
        data += line_end * draw(st.integers(0, 1))
        raw = record.raw.replace(b"%d", b"%d" % number)
        offsets.append(len(data))
        raws.append(raw[: CONTRACT.max_record_bytes])
        data += raw + line_end
    unfinished = draw(st.booleans())
    if chosen and unfinished:
        data = data[: -len(line_end)]
    return File(data, offsets, raws, chosen)


def parse(
    file: File, cuts: list[int], parser: ChunkParser, contract: Contract
) -> tuple[list[dict[str, object]], list[dict[str, object]], Counter[str]]:
    """Clean rows and rejects of a file that arrives in blocks; rows of rejects count from 0."""
    chunks = chunks_of(file.data, cuts, 40, max_record_bytes=contract.max_record_bytes)
    clean: list[dict[str, object]] = []
    rejects: list[dict[str, object]] = []
    reasons: Counter[str] = Counter()
    rows = 0
    for chunk in chunks:
        parsed = parser.parse(chunk)
        assert parsed.rows == parsed.clean.num_rows + parsed.rejects.num_rows
        clean += parsed.clean.to_pylist()
        rejects += [{**one, "row": one["row"] + rows} for one in parsed.rejects.to_pylist()]
        reasons += parsed.reasons
        rows += parsed.rows
    assert rows == len(file.records)
    return clean, rejects, reasons


@pytest.mark.parametrize("forced", [(), ("id", "sku", "cost", "category", "retail_price")])
@given(files(), st.lists(st.integers(0, 3000), max_size=4), st.sampled_from([0, 1, 1000]))
@examples(4)
def test_every_record_is_clean_or_a_reject_and_knows_its_place(
    forced: tuple[str, ...], file: File, cuts: list[int], few_wrong: int
) -> None:
    contract = CONTRACT_FOR_LENGTH
    parser = ChunkParser(layout_of(contract, HEADER), raw_columns=forced)
    with mock.patch.object(kpi.validation.reading, "MAX_HANDLED_ROWS", few_wrong):
        clean, rejects, reasons = parse(file, cuts, parser, contract)
    numbered = list(enumerate(file.records))
    assert [
        (row["id"], dict(row["_rescued"]).get("note"), row["sku"], row["category"])  # type: ignore[call-overload]  # pairs
        for row in clean
    ] == [(number, *record.clean) for number, record in numbered if not record.reasons]
    assert [
        (
            reject["row"],
            reject["byte_offset"],
            reject["raw"],
            Counter((one["reason"], one["column"]) for one in reject["reasons"]),  # type: ignore[attr-defined]  # a list of dicts
        )
        for reject in rejects
    ] == [
        (number, file.offsets[number], file.raws[number], Counter(record.reasons))
        for number, record in numbered
        if record.reasons
    ]
    assert reasons == Counter(
        str(reason) for record in file.records for reason in {why for why, _ in record.reasons}
    )


def test_the_records_above_show_every_reason_of_csv_but_one() -> None:
    shown = {reason for record in RECORDS for reason, _ in record.reasons}
    # NOT_ALLOWED: tests/unit/kpi/validation/test_slow_path.py
    assert shown == set(Reason) - {Reason.NOT_ALLOWED, Reason.MALFORMED_JSON}


def test_rejects_say_what_was_expected() -> None:
    parser = ChunkParser(layout_of(CONTRACT_FOR_LENGTH, HEADER))
    file = b"".join(record.raw.replace(b"%d", b"1") + b"\n" for record in RECORDS)
    parsed = parser.parse(chunk_of(file, CONTRACT_FOR_LENGTH))
    expected_reasons = {
        (one["reason"], one["column"]): one["expected"]
        for reject in parsed.rejects.to_pylist()
        for one in reject["reasons"]
    }
    assert expected_reasons == {
        ("missing_value", "category"): "a value",
        ("missing_value", "id"): "a value",
        ("out_of_range", "retail_price"): "at least 0",
        ("wrong_type", "cost"): "a decimal of at most 13 digits before the point",
        ("wrong_type", "id"): "a 64-bit integer",
        ("undecodable", "sku"): "UTF-8",
        ("undecodable", "category"): "UTF-8",
        ("too_long", "category"): "at most 1000 bytes",
        ("wrong_column_count", None): expected_reasons["wrong_column_count", None],
        ("malformed_quotes", None): "a closing quote before a delimiter or line end",
        ("record_too_long", None): "a record of at most max_record_bytes",
    }
    assert expected_reasons["wrong_column_count", None] in [
        f"6 columns, got {got}" for got in (1, 3, 7)
    ]


def test_a_large_chunk_with_one_bad_row_in_the_middle() -> None:
    rows = [b"%d,,,1.00,Books,1.00\n" % number for number in range(30_000)]
    rows[17_000] = b"17000,,,1.00,Books\n"
    rows[20_000] = b"20000,,,x,Books,1.00\n"
    data = b"".join(rows)
    parsed = ChunkParser(layout_of(CONTRACT, HEADER)).parse(chunk_of(data, CONTRACT))
    assert parsed.clean.num_rows == 29_998
    assert [(one["row"], one["byte_offset"]) for one in parsed.rejects.to_pylist()] == [
        (17_000, data.index(b"17000,")),
        (20_000, data.index(b"\n20000,") + 1),
    ]


@pytest.mark.parametrize(
    ("rows", "ascending"),
    [
        (b"1,,,1,B,1\n2,,,1,B,1\n", True),
        (b"1,,,1,B,1\n1,,,1,B,1\n", False),
        (b"2,,,1,B,1\n1,,,1,B,1\n", False),
        (b"1,,,1,B,1\n1,,,x,B,1\n2,,,1,B,1\n", True),  # the second is a reject
        (b"1,,,x,B,1\n", True),
    ],
)
def test_a_chunk_tells_whether_its_keys_rise(rows: bytes, ascending: bool) -> None:
    parsed = ChunkParser(layout_of(CONTRACT, HEADER)).parse(chunk_of(rows, CONTRACT))
    assert parsed.is_key_increasing is ascending


@pytest.mark.parametrize(
    ("rows", "ascending"),
    [(b"a,,,1,B,1\nb,,,1,B,1\n", True), (b"b,,,1,B,1\na,,,1,B,1\n", False)],
)
def test_keys_of_text_rise_by_their_bytes(rows: bytes, ascending: bool) -> None:
    contract = built_in("string-ids")
    parsed = ChunkParser(layout_of(contract, HEADER)).parse(chunk_of(rows, contract))
    assert parsed.is_key_increasing is ascending


@pytest.mark.parametrize("twice", [None, *range(1, 203)])
def test_wherever_a_key_of_text_stands_twice_they_do_not_rise(twice: int | None) -> None:
    keys = [number - (twice is not None and number >= twice) for number in range(203)]
    table = pa.table({"id": [f"{key:03}" for key in keys]})
    assert is_strictly_increasing(table, layout_of(built_in("string-ids"), HEADER)) is (
        twice is None
    )


def test_unknown_columns_are_rescued_row_by_row() -> None:
    header = b"colour,id,size,category"
    layout = layout_of(CONTRACT, header)
    data = b'red,1,XL,Books\n,2,"S,M",Books\nblue,x,L,Books\n'
    parsed = ChunkParser(layout).parse(chunk_of(data, CONTRACT))
    assert parsed.clean.select(["id", "_rescued"]).to_pylist() == [
        {"id": 1, "_rescued": [("colour", "red"), ("size", "XL")]},
        {"id": 2, "_rescued": [("size", "S,M")]},
    ]
    assert parsed.rejects.num_rows == 1


def test_an_object_without_an_optional_column_has_nulls_there() -> None:
    parsed = ChunkParser(layout_of(CONTRACT, b"category,id")).parse(
        chunk_of(b"Books,1\n", CONTRACT)
    )
    row = parsed.clean.to_pylist()[0]
    assert {name for name, value in row.items() if value is not None} == {"id", "category"}


@pytest.mark.parametrize("broken", [[0], [2499], [0, 1, 2498, 2499], [7, 1203, 1204]])
def test_few_rejects_among_many_rows(broken: list[int]) -> None:
    """Too few for a filter of the whole chunk."""
    rows = [b"%d,,A-%d,,Books,1\n" % (number, number) for number in range(2500)]
    for number in broken:
        rows[number] = b"%d,,A-%d,,Books,-1\n" % (number, number)
    parsed = ChunkParser(layout_of(CONTRACT, HEADER)).parse(chunk_of(b"".join(rows), CONTRACT))
    assert parsed.rejects["row"].to_pylist() == broken
    left = [number for number in range(2500) if number not in broken]
    assert parsed.clean["id"].to_pylist() == left
    assert parsed.clean["sku"].to_pylist() == [f"A-{number}" for number in left]
    assert set(parsed.clean["category"].to_pylist()) == {"Books"}


@pytest.mark.parametrize("number", [0, 7])
def test_a_record_may_say_what_a_message_of_the_parser_says(number: int) -> None:
    """Arrow quotes records of the wrong column count."""
    contract = contract_of('type = "string"')
    last = b"In CSV column #%d: x,y,z\n" % number
    data = b"1,a\n" + b"2,b,c\n" * kpi.validation.reading.MAX_HANDLED_ROWS + last
    parsed = parser_of(contract).parse(chunk_of(data, contract))
    assert parsed.reasons == {"wrong_column_count": kpi.validation.reading.MAX_HANDLED_ROWS + 1}
    assert parsed.clean.num_rows == 1


def test_a_record_of_wrong_width_before_thousands_of_rejects() -> None:
    contract = contract_of('type = "string"')
    data = b"1,\xff,z\n" + b"x,a\n" * 4001 + b"2,a\n"
    parsed = parser_of(contract).parse(chunk_of(data, contract))
    assert parsed.reasons == {"wrong_column_count": 1, "wrong_type": 4001}
    assert parsed.rejects["row"].to_pylist() == list(range(4002))
    assert parsed.clean["id"].to_pylist() == [2]


LENIENT = built_in()


def parse_products(
    rows: bytes, header: bytes = HEADER, contract: Contract = LENIENT
) -> ParsedChunk:
    return ChunkParser(layout_of(contract, header)).parse(chunk_of(rows, contract))


@pytest.mark.parametrize(
    ("row", "nulled"),
    [
        (b"7,,A-1,abc,Books,3.00\n", ("cost",)),
        (b"7,,A-1,-1,Books,99999999999999\n", ("cost", "retail_price")),
        (b"7,,livr\xe9e,1,Books,3.00\n", ("sku",)),
        (b"7,livr\xe9e,A-1,1,Books,3.00\n", ("note",)),
    ],
)
def test_a_bad_value_that_no_kpi_reads_is_null(row: bytes, nulled: tuple[str, ...]) -> None:
    parsed = parse_products(b"1,,A-1,1.00,Books,1\n" + row)
    assert (parsed.rejects.num_rows, parsed.notes) == (0, {"nulled": len(nulled)})
    found = parsed.clean.to_pylist()[1]
    cells = {**found, **dict(found["_rescued"])}
    assert {name for name in ("sku", "cost", "retail_price", "note") if not cells.get(name)} >= {
        *nulled
    }
    assert (found["id"], found["category"]) == (7, "Books")


def test_a_required_column_rejects_though_no_kpi_reads_it() -> None:
    text = built_in().text.replace(
        'cost = { type = "decimal"', 'cost = { type = "decimal", required = true'
    )
    parsed = parse_products(b"7,,A-1,abc,Books,3.00\n", contract=parse_contract(text, source="t"))
    assert parsed.reasons == {"wrong_type": 1}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"9999-12-31", datetime(9999, 12, 31, tzinfo=UTC)),
        (b"9999-12-31T23:59:59", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (b"0001-01-01 00:00:00", datetime(1, 1, 1, tzinfo=UTC)),
        (b"0000-01-01", None),
        (b"9999-12-31T23:59:59-01:00", None),
        (b"soon", None),
    ],
)
def test_a_date_that_no_kpi_reads_may_be_a_sentinel(text: bytes, value: datetime | None) -> None:
    contract = built_in()
    layout = layout_of(contract, b"order_id,user_id,created_at,returned_at", "orders")
    rows = b"1,1,2025-01-01T00:00:01,%b\n2,2,2025-01-01T00:00:01,\n" % text
    parsed = ChunkParser(layout).parse(chunk_of(rows, contract))
    assert parsed.rejects.num_rows == 0
    assert parsed.clean["returned_at"].to_pylist() == [value, None]
    assert parsed.notes == ({} if value else {"nulled": 1})


def test_notes_count_cells_of_clean_rows_alone() -> None:
    rows = b"1,, A ,1.00,Books ,1\n2,, A ,1.00,,1\n3,,A,1.123456,Books,x\n"
    parsed = parse_products(rows)
    assert parsed.reasons == {"missing_value": 1}
    assert parsed.notes == {"trimmed": 2, "rounded": 1, "nulled": 1}


def test_blanks_make_no_other_category() -> None:
    parsed = parse_products(b"1,,,1,Hats,1\n2,,,1,Hats ,1\n3,,,1, ,1\n")
    assert parsed.clean["category"].to_pylist() == ["Hats", "Hats"]
    assert (parsed.reasons, parsed.notes) == ({"missing_value": 1}, {"trimmed": 1})


@pytest.mark.parametrize("required", ["required = true, ", ""])
@pytest.mark.parametrize(
    ("dataset", "column"), [("products", "category"), ("order_items", "product_id")]
)
def test_an_empty_key_of_kpi_rows_is_a_reject(dataset: str, column: str, required: str) -> None:
    """Where "" is no null: DynamoDB takes no empty key."""
    text = built_in("string-ids").text.replace('null_values = [""]', 'null_values = ["NULL"]')
    begin = 'category = { type = "string", '
    contract = parse_contract(
        text.replace(f"{begin}required = true, ", f"{begin}{required}"), source="t"
    )
    headers = {"products": b"id,category", "order_items": b"id,order_id,sale_price,product_id"}
    row = {"products": b"7,%b\n", "order_items": b"7,1,2.00,%b\n"}[dataset]
    layout = layout_of(contract, headers[dataset], dataset)
    parsed = ChunkParser(layout).parse(chunk_of(row % b'""' + row % b"x", contract))
    [reject] = parsed.rejects.to_pylist()
    assert [(one["reason"], one["column"], one["expected"]) for one in reject["reasons"]] == [
        ("missing_value", column, "a text that is not empty")
    ]
    assert parsed.clean[column].to_pylist() == ["x"]
