"""Any bytes as a file: nothing is lost, nothing is made up, everything knows its place.

A second reader, written from the grammar in `kpi.csv.grammar` and `kpi.csv.splitter` alone, says
which records there are and what their fields are; the validation may only differ by being right
about types and rules.
"""

from __future__ import annotations

import codecs
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kpi.contract.folding import BLANKS
from tests.properties.validation import LENIENT, RECORD_BYTES, Outcome, changed, outcome
from tests.support.profiles import examples
from tests.unit.kpi.csv.test_splitter import reference

HEADER = b"id,category,name,mine\n"
COLUMNS = ("id", "category", "name")

PIECES = [
    *(b"1", b"7", b"-", b"Toys", b",", b",", b",", b"\n", b"\n", b"\r\n", b"\r"),
    *(b'"', b'""', b'"a,b"', b'"a\nb"', b'"a""b"', b'a","b\n', b'"\n', b"1,Toys,x,y\n"),
    *(b"\0", b"\xff", b"\xc3", b"\xe2\x80\xae", b"\xef\xbb\xbf", "ß".encode(), b" ", b"\t"),
    *(b"0x1F", b"1e308", b"NaN", b"9223372036854775808", b"x" * RECORD_BYTES, b",,,,,,,,,,"),
]
TEXTS = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join),
    st.binary(max_size=200),
)
BLOCK_BYTES = st.integers(5, 300)


def fields_of(record: bytes) -> list[bytes]:
    """The fields of a well-formed record, quotes taken off."""
    fields, at = [], 0
    while True:
        quoted = re.compile(rb'"((?:[^"]|"")*)"').match(record, at)
        if quoted:
            fields.append(quoted.group(1).replace(b'""', b'"'))
            at = quoted.end()
        else:
            end = record.find(b",", at)
            end = len(record) if end < 0 else end
            fields.append(record[at:end])
            at = end
        if at == len(record):
            return fields
        at += 1


def decodes(field: bytes) -> bool:
    try:
        field.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def decoded(field: bytes) -> str:
    """A field's text; none where it is not UTF-8 in a column that rejects no row."""
    return field.decode() if decodes(field) else ""


def surely_clean(fields: list[bytes]) -> bool:
    """Whether nothing can be said against a row."""
    number, category, *_ = fields
    return (
        re.fullmatch(rb"-?[0-9]{1,18}", number) is not None
        and 0 < len(category) <= 1024
        and decodes(category)
        and decoded(category).strip(BLANKS) != ""
    )


def is_blank(raw: bytes, well_formed: bool) -> bool:
    """Whether a record has no values, and so is no row."""
    text = raw.decode("utf-8", "replace").replace(",", "").replace('"', "")
    return well_formed and not text.strip(BLANKS + "\x00\x1a")


def check(data: bytes, found: Outcome) -> None:
    """The outcome of a file whose header is `HEADER`, held against the second reader."""
    entry = found.entry
    records = reference(data, RECORD_BYTES)[1:]
    assert entry.verdict == "accepted"
    rows = sum(not is_blank(raw, well_formed) for _, raw, well_formed in records)
    assert entry.rows_read == rows == entry.rows_clean + entry.rows_rejected
    assert entry.notes.get("blank_rows", 0) == len(records) - rows
    assert (len(found.clean), len(found.rejects)) == (entry.rows_clean, entry.rows_rejected)
    rejects = {reject["byte_offset"]: reject for reject in found.rejects}
    assert len(rejects) == len(found.rejects)
    clean = iter(found.clean)
    for number, (offset, raw, well_formed) in enumerate(records):
        if is_blank(raw, well_formed):
            continue
        fields = fields_of(raw) if well_formed else []
        reject = rejects.pop(offset, None)
        if reject is not None:
            assert (reject["row"], reject["raw"]) == (number + 2, raw)
            assert data[offset:].startswith(raw)
            reasons = {one["reason"] for one in reject["reasons"]}
            assert reasons
            assert well_formed == (not reasons & {"malformed_quotes", "record_too_long"})
            if well_formed:
                assert (len(fields) == 4) == (reasons != {"wrong_column_count"})
                assert len(fields) != 4 or not surely_clean(fields)
            continue
        row = next(clean)
        assert int(decoded(fields[0]).strip(BLANKS)) == row["id"]
        texts = [row["category"], row["name"], dict(row["_rescued"]).get("mine")]
        mine = [field.strip(BLANKS) for field in map(decoded, fields[1:3])] + [decoded(fields[3])]
        assert [text or "" for text in texts] == mine
    assert next(clean, None) is None
    assert not rejects


AT_ODDS = [
    *(b"\xff", b"1,Caf\xe9", b"1,2,3,4,\xff", b'"\xe9"'),  # of wrong width, and not UTF-8
    *(b"\xef\xbb\xbf", b"\xef\xbb\xbf1,Toys,x,y", b'\xef\xbb\xbf"1",Toys,x,y'),
]


@pytest.mark.parametrize("record", AT_ODDS)
def test_a_record_may_be_any_bytes(record: bytes) -> None:
    data = HEADER + record + b"\n2,Toys,x,y\n"
    check(data, outcome(data))


@given(TEXTS, BLOCK_BYTES)
@examples(3)
@example(b'a","b\n' * 50, 30)
@example(b'"' + b"1,Toys,x,y\n" * 200, 100)
@example(b"x" * 3000, 100)
@example(b"", 5)
@example(b"\n\r\n\r", 5)
@example(b"1,Toys,\0,\0\n", 5)
def test_every_record_is_found_and_ends_in_one_place(text: bytes, block_bytes: int) -> None:
    data = HEADER + text
    found = outcome(data, block_bytes=block_bytes)
    check(data, found)
    assert outcome(data, block_bytes=10**6).facts == found.facts


@given(st.one_of(TEXTS, st.tuples(TEXTS, TEXTS).map(HEADER.join)))
@examples(2)
@example(codecs.BOM_UTF8 + HEADER)
@example(codecs.BOM_UTF16_LE)
@example(b'"')
@example(b'"id"x,category\n')
@example(b'"\n\x01"')
def test_any_bytes_are_accepted_or_refused_with_a_reason(data: bytes) -> None:
    """Without a header of ours in front."""
    found = outcome(data, block_bytes=50)
    entry = found.entry
    assert entry.rows_read == entry.rows_clean + entry.rows_rejected
    if entry.verdict == "refused":
        assert re.search("expected .*, got[ :]", str(entry.reason), re.DOTALL), entry.reason
        assert not found.clean
    else:
        assert len(found.clean) == entry.rows_clean


EDGES = {
    "id": [b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808", b"0x1F", b"-0"],
    "order_id": [b"1e3", b"1.0", b" 5", b"+5", b"--5", "٣".encode(), b"NaN", b"1_000", b"9" * 400],
    "product_id": [b"", b"0", b"00", b"-", b"1\0", b"\xff", b'"'],
    "sale_price": [
        *(b"1e308", b"NaN", b"inf", b"-inf", b"-0", b"-0.00", b"0x1F", b"1e-400", b"1E2", b"0.005"),
        *(b"9" * 13 + b".99", b"9" * 14, b"9" * 20, b"0" * 500 + b"1", b"1" + b"0" * 500, b"1,5"),
        *(b"1.", b".1", b"1.100000000000000000000000000", b"$1", "1\u00a0000".encode(), b"1e+1"),
    ],
    "created_at": [
        *(
            b"0000-01-01",
            b"0001-01-01",
            b"0001-01-02",
            b"9999-12-30",
            b"9999-12-31T23:59:59.999999",
        ),
        *(
            b"10000-01-01",
            b"2016-12-31T23:59:60",
            b"2025-02-29",
            b"2024-02-29",
            b"2025-03-30T02:30",
        ),
        *(b"2025-10-26T02:30:00", b"2025-03-30T02:30:00+02:00", b"2025-03-30T24:00:00", b"now"),
        *(
            b"1969-12-31T23:59:59.999999Z",
            b"2025-03-01T00:00:00-23:59",
            b"-0001-01-01",
            b"20250301",
        ),
    ],
}


@given(st.fixed_dictionaries({name: st.sampled_from(values) for name, values in EDGES.items()}))
@examples(1.5)
def test_values_at_the_edges_are_clean_or_rejected_alike_in_any_company(
    row: dict[str, bytes],
) -> None:
    """The verdict of a row does not depend on the rows around it, nor on the time zones' gaps."""
    contract = changed(
        ("max_reject_rate = 0.10", "max_reject_rate = 1"),
        ('source_time_zone = "UTC"', 'source_time_zone = "Europe/Berlin"'),
        ('business_time_zone = "UTC"', 'business_time_zone = "America/New_York"'),
    )
    header = ",".join(EDGES).encode() + b"\n"
    values = [b'"' + row[name].replace(b'"', b'""') + b'"' for name in EDGES]
    good, odd = b"1,2,3,4.50,2025-03-01\n", b",".join(values) + b"\n"
    alone = outcome(header + odd, dataset="order_items", contract=contract)
    among = outcome(header + good + odd + good, dataset="order_items", contract=contract)
    assert alone.entry.rows_read == 1
    assert among.entry.rows_clean == 2 + alone.entry.rows_clean
    assert among.clean[1:-1] == alone.clean
    assert [one["reasons"] for one in among.rejects] == [one["reasons"] for one in alone.rejects]


@pytest.mark.parametrize("size", [1024, 1025, 2048, 2049, 5000])
def test_keys_of_kpi_rows_fit_dynamodb_whatever_their_script(size: int) -> None:
    emoji = "👩🏽‍🚀".encode()
    category = (emoji * size)[: size - size % 4]
    while not decodes(category):
        category = category[:-1]
    found = outcome(
        b"id,category\n1," + category + b"\n2,\xd8\xa7\xe2\x80\xae\x1b[2J\n3,\n4, \n5,\0\n",
        contract=changed(("max_reject_rate = 0.10", "max_reject_rate = 1")),
    )
    clean = [row["category"] for row in found.clean]
    assert clean == [category.decode()] * (len(category) <= 1024) + [
        "\u0627\u202e\x1b[2J",
        "\0",
    ]
    assert found.entry.reasons == {"missing_value": 2} | (
        {"too_long": 1} if len(category) > 1024 else {}
    )


@pytest.mark.parametrize("columns", [2, 1000, 1001, 10_000])
def test_many_columns_are_columns_or_a_reason(columns: int) -> None:
    names = [b"id", b"category", *(b"c%d" % number for number in range(columns - 2))]
    wide = b"1,Toys" + b"," * (columns - 2)
    data = b",".join(names) + b"\n" + wide + b"\n1,Toys" + b"," * 9998 + b"\n" + wide + b"\n"
    contract = changed(("max_reject_rate = 0.10", "max_reject_rate = 1"))
    found = outcome(data, contract=contract)
    if columns > 1000:
        assert found.entry.reason == f"expected at most 1000 columns, got {columns}"
    else:
        assert found.entry.rows_clean == 2
        assert found.entry.reasons == {"wrong_column_count": 1}


def test_names_of_columns_have_a_limit_since_rows_repeat_them() -> None:
    """A name of 200 KB times a hundred thousand rows were 20 GB, from a file of 2 MB."""
    long = outcome(b"id,category," + b"n" * 256 + b"\n" + b"1,Toys,x\n" * 1000)
    assert long.entry.reason == "expected column names of at most 255 bytes, got one of 256 bytes"
    assert outcome(b"id,category," + b"n" * 255 + b"\n1,Toys,x\n").entry.rows_clean == 1


def test_headers_that_look_like_numbered_doubles_are_columns_of_their_own() -> None:
    found = outcome(b"id,category,x,x#5,x,x\n1,Toys,a,b,c,d\n")
    (row,) = found.clean
    assert dict(row["_rescued"]) == {"x": "a", "x#5": "b", "x#5#": "c", "x#6": "d"}


def test_the_lenient_contract_is_as_short_as_contracts_go() -> None:
    assert LENIENT.max_record_bytes == RECORD_BYTES
