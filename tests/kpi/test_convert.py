"""Every text gets one verdict, whichever way it is read and whatever stands beside it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kpi import convert
from kpi.contract import Column, Contract, built_in, parse_contract
from kpi.convert import decoded, within_precision
from kpi.parse import ChunkParser
from tests.kpi.columns import (
    Verdict,
    chunk_of,
    contract_of,
    judge,
    judge_alone,
    layout_of,
)

BERLIN = '[time]\nsource_time_zone = "Europe/Berlin"'
SAO_PAULO = '[time]\nsource_time_zone = "America/Sao_Paulo"'
WRONG, RANGE, UNDECODABLE = "wrong_type", "out_of_range", "undecodable"


def utc(*fields: int) -> datetime:
    return datetime(*fields, tzinfo=UTC)  # type: ignore[arg-type, misc]  # numbers in their order


def expected(outcome: object) -> Verdict:
    is_reason = outcome in (WRONG, RANGE, UNDECODABLE, "too_long", "not_allowed")
    return Verdict(None, (str(outcome),)) if is_reason else Verdict(outcome)


INTEGERS = {
    "7": 7,
    "007": 7,
    "-0": 0,
    "-12": -12,
    " 7": 7,
    "7\t": 7,
    "": None,
    "9223372036854775807": 2**63 - 1,
    "-9223372036854775808": -(2**63),
    "0009223372036854775807": 2**63 - 1,
    "00000000000000000000000000000007": 7,
    "9223372036854775808": WRONG,
    "-9223372036854775809": WRONG,
    "99999999999999999999": WRONG,
    "+7": WRONG,
    "--7": WRONG,
    "-": WRONG,
    "- 7": WRONG,
    " ": WRONG,
    "7.0": WRONG,
    "7e2": WRONG,
    "1_000": WRONG,
    "1,000": WRONG,
    "0x1F": WRONG,
    "0X1f": WRONG,
    "-0x1F": WRONG,
    "NaN": WRONG,
    "\u0667": WRONG,  # an Arabic digit is no digit of a number in an export
    "7\n": WRONG,
    "\u00a07": WRONG,
    "true": WRONG,
}
DECIMALS = {
    "7": Decimal("7.00"),
    "12.5": Decimal("12.50"),
    "12.50": Decimal("12.50"),
    "007.50": Decimal("7.50"),
    "5.": Decimal("5.00"),
    ".5": Decimal("0.50"),
    "-.5": Decimal("-0.50"),
    "-0": Decimal("0.00"),
    "-0.00": Decimal("0.00"),
    "+7": Decimal("7.00"),
    " 7 ": Decimal("7.00"),
    "1e3": Decimal("1000.00"),
    "1.5E+1": Decimal("15.00"),
    "150e-2": Decimal("1.50"),
    "1.1000": Decimal("1.10"),
    "1.10000000000000": Decimal("1.10"),
    "9999999999999.99": Decimal("9999999999999.99"),
    "-9999999999999.99": Decimal("-9999999999999.99"),
    "00000000000000000009.99": Decimal("9.99"),
    "": None,
    "12345678901234": WRONG,  # 15 digits have room for 13 before the point
    "123456789012345": WRONG,
    "1e13": WRONG,
    "1e14": WRONG,
    "99999999999999999999": WRONG,
    "1e308": WRONG,
    "1e-3": WRONG,
    "1.005": WRONG,
    "0.001": WRONG,
    "NaN": WRONG,
    "inf": WRONG,
    "0x1F": WRONG,
    "12,50": WRONG,
    "1.234,50": WRONG,
    "$5": WRONG,
    ".": WRONG,
    "-": WRONG,
    "+-1": WRONG,
    "1 000": WRONG,
    "1e": WRONG,
    "e5": WRONG,
}
TIMESTAMPS = {
    "2025-03-30T16:14:26": utc(2025, 3, 30, 16, 14, 26),
    "2025-03-30 16:14:26": utc(2025, 3, 30, 16, 14, 26),
    "2025-03-30": utc(2025, 3, 30),
    "2025-03-30T16": utc(2025, 3, 30, 16),
    "2025-03-30T16:14": utc(2025, 3, 30, 16, 14),
    "2025-03-30T16:14:26Z": utc(2025, 3, 30, 16, 14, 26),
    "2025-03-30T16:14:26+02": utc(2025, 3, 30, 14, 14, 26),
    "2025-03-30T16:14:26+0200": utc(2025, 3, 30, 14, 14, 26),
    "2025-03-30T16:14:26-05:30": utc(2025, 3, 30, 21, 44, 26),
    "2025-03-30T16:14:26+14:00": utc(2025, 3, 30, 2, 14, 26),
    "2025-03-30T16:14:26-23:59": utc(2025, 3, 31, 16, 13, 26),
    "2025-03-30T16:14:26.5": utc(2025, 3, 30, 16, 14, 26, 500_000),
    "2025-03-30T16:14:26.123456": utc(2025, 3, 30, 16, 14, 26, 123_456),
    "2025-03-30T16:14:26.123456789": utc(2025, 3, 30, 16, 14, 26, 123_456),
    "2025-03-30T16:14:26.999999999Z": utc(2025, 3, 30, 16, 14, 26, 999_999),
    "2024-02-29T00:00:00": utc(2024, 2, 29),
    "2000-02-29": utc(2000, 2, 29),
    "0001-01-02T00:00:00": utc(1, 1, 2),
    "9999-12-30T00:00:00": utc(9999, 12, 30),
    "1969-12-31T23:59:59.999999": utc(1969, 12, 31, 23, 59, 59, 999_999),
    "": None,
    # Days that some time zone shows outside of the years 1 to 9999.
    "0001-01-01T00:00:00": RANGE,
    "0001-01-01T00:00:00+05:00": RANGE,
    "0000-06-01": RANGE,
    "9999-12-31T23:59:59": RANGE,
    "9999-12-31T23:59:59-05:00": RANGE,
    "2025-02-29T00:00:00": WRONG,
    "1900-02-29": WRONG,
    "2025-04-31": WRONG,
    "2025-13-01": WRONG,
    "2025-00-10": WRONG,
    "2025-01-01T23:59:60": WRONG,  # UTC's leap second: no other clock shows it
    "2025-01-01T24:00:00": WRONG,
    "2025-01-01T00:60:00": WRONG,
    "2025-01-01T00:00:00+24:00": WRONG,
    "2025-01-01T00:00:00 +02:00": WRONG,
    "2025-01-01T00:00:00z": WRONG,
    "2025-01-01t00:00:00": WRONG,
    "2025-01-01Z": WRONG,
    "2025-01-01T00:00:00.": WRONG,
    "2025-01-01T00:00:00.1234567890123": WRONG,
    "2025-1-1": WRONG,
    "20250101": WRONG,
    "10000-01-01": WRONG,
    "-001-01-01": WRONG,
    " 2025-01-01": WRONG,
    "2025-01-01 ": WRONG,
    "01/02/2025": WRONG,
    "1735689600": WRONG,
    "\u0662\u0660\u0662\u0665-01-01": WRONG,
}
BY_FORMAT = {
    "2017-10-02 10:56:33": utc(2017, 10, 2, 10, 56, 33),
    "2024-02-29 00:00:00": utc(2024, 2, 29),
    "2017-03-03 00:00:00": utc(2017, 3, 3),
    "2017-03-03 00:00:01": utc(2017, 3, 3, 0, 0, 1),
    "2017-1-2 3:4:5": utc(2017, 1, 2, 3, 4, 5),
    "": None,
    # strptime would take these for 3 March, 1 May and the next minute.
    "2017-02-31 10:00:00": WRONG,
    "2017-02-29 10:00:00": WRONG,
    "2017-4-31 10:00:00": WRONG,
    "2017-10-02 10:56:60": WRONG,
    "2017-10-02T10:56:33": WRONG,
    "2017-10-02": WRONG,
    "2017-10-02 24:00:00": WRONG,
    "2017-13-02 10:56:33": WRONG,
    "2017-10-02 10:56:33 PM": WRONG,
    "0000-10-02 10:56:33": RANGE,
}
UUID_VALUE = bytes.fromhex("0190163d8694739baea5966c26f8ad91")
UUIDS = {
    "0190163d-8694-739b-aea5-966c26f8ad91": UUID_VALUE,
    "0190163D-8694-739B-AEA5-966C26F8AD91": UUID_VALUE,
    "0190163d-8694-739B-aea5-966c26f8ad91": UUID_VALUE,
    "00000000-0000-0000-0000-000000000000": bytes(16),
    "ffffffff-ffff-ffff-ffff-ffffffffffff": bytes([255] * 16),
    "": None,
    "0190163d8694739baea5966c26f8ad91": WRONG,
    "{0190163d-8694-739b-aea5-966c26f8ad91}": WRONG,
    "urn:uuid:0190163d-8694-739b-aea5-966c26f8ad91": WRONG,
    " 0190163d-8694-739b-aea5-966c26f8ad91": WRONG,
    "0190163d-8694-739b-aea5-966c26f8ad9": WRONG,
    "0190163d-8694-739b-aea5-966c26f8ad9 ": WRONG,
    "0190163d-8694-739b-aea5-966c26f8ad9g": WRONG,
    "0190163d-8694-739b-aea5-966c26f8ad9@": WRONG,
    "0190163d-8694-739b-aea5-966c26f8ad9:": WRONG,
    "0190163d-8694-739b-aea5-966c26f8ad9`": WRONG,
    "0190163d-8694-739b-aea5-966c26f8adé": WRONG,  # 36 bytes in UTF-8
    "0190163d-8694-739b-aea5_966c26f8ad91": WRONG,
    "0190163d8-694-739b-aea5-966c26f8ad91": WRONG,
    "7": WRONG,
}
CASES = [
    ('type = "uuid"', "", UUIDS),
    ('type = "integer"', "", INTEGERS),
    ('type = "decimal"', "", DECIMALS),
    ('type = "timestamp"', "", TIMESTAMPS),
    ('type = "timestamp", formats = ["%Y-%m-%d %H:%M:%S"]', "", BY_FORMAT),
]


@pytest.mark.parametrize("careful", [False, True])
@pytest.mark.parametrize(("column", "settings", "texts"), CASES)
def test_each_text_has_the_verdict_that_is_written_down(
    column: str, settings: str, texts: dict[str, object], careful: bool
) -> None:
    contract = contract_of(column, settings)
    got = {text: judge_alone(text.encode(), contract, careful=careful) for text in texts}
    assert got == {text: expected(outcome) for text, outcome in texts.items()}


@pytest.mark.parametrize(("column", "settings", "texts"), CASES)
def test_neighbours_do_not_change_a_verdict(
    column: str, settings: str, texts: dict[str, object]
) -> None:
    contract = contract_of(column, settings)
    together = judge([text.encode() for text in texts], contract)
    assert together == [expected(outcome) for outcome in texts.values()]


@pytest.mark.parametrize("careful", [False, True])
@pytest.mark.parametrize(
    ("column", "text", "outcome"),
    [
        ('type = "decimal", precision = 18, scale = 2', "9999999999999999.99", "itself"),
        # Scaled to cents these leave 64 bits.
        ('type = "decimal", precision = 18, scale = 2', "999999999999999999", WRONG),
        ('type = "decimal", precision = 18, scale = 2', "1e17", WRONG),
        ('type = "decimal", precision = 18, scale = 2', "99999999999999999", WRONG),
        ('type = "decimal", precision = 2, scale = 2', ".55", "0.55"),
        ('type = "decimal", precision = 2, scale = 2', "0.5", "0.50"),
        ('type = "decimal", precision = 2, scale = 2', "1", WRONG),
        ('type = "decimal", precision = 3, scale = 0', "999", "999"),
        ('type = "decimal", precision = 3, scale = 0', "7.", "7"),
        ('type = "decimal", precision = 3, scale = 0', "7.0", "7"),
        ('type = "decimal", precision = 3, scale = 0', "7.5", WRONG),
        ('type = "decimal", precision = 3, scale = 0', "1000", WRONG),
        ('type = "decimal", min = 0', "-0.00", "0.00"),
        ('type = "decimal", min = 0', "-0.01", RANGE),
        ('type = "decimal", max = 9.995', "9.99", "9.99"),
        ('type = "decimal", max = 9.995', "10", RANGE),
    ],
)
def test_decimals_keep_to_their_precision(
    column: str, text: str, outcome: str, careful: bool
) -> None:
    verdict = judge_alone(text.encode(), contract_of(column), careful=careful)
    if outcome in (WRONG, RANGE):
        assert verdict == expected(outcome)
    else:
        assert verdict == Verdict(Decimal(text if outcome == "itself" else outcome))


@pytest.mark.parametrize("careful", [False, True])
@pytest.mark.parametrize(
    ("zone", "text", "instant"),
    [
        # Berlin, 30 March 2025: 02:00 to 03:00 does not exist, and is taken for the change.
        (BERLIN, "2025-03-30T01:59:59", utc(2025, 3, 30, 0, 59, 59)),
        (BERLIN, "2025-03-30T02:30:00", utc(2025, 3, 30, 1)),
        (BERLIN, "2025-03-30T03:00:00", utc(2025, 3, 30, 1)),
        # 26 October 2025: 02:00 to 03:00 comes twice, and is taken the first time.
        (BERLIN, "2025-10-26T02:30:00", utc(2025, 10, 26, 0, 30)),
        (BERLIN, "2025-10-26T02:30:00+01:00", utc(2025, 10, 26, 1, 30)),
        # In 2017 Brazil's clocks changed at midnight: that day begins at one o'clock.
        (SAO_PAULO, "2017-10-15T00:30:00", utc(2017, 10, 15, 3)),
        (SAO_PAULO, "2017-10-14T23:59:59", utc(2017, 10, 15, 2, 59, 59)),
        (SAO_PAULO, "2025-01-01", utc(2025, 1, 1, 3)),
        (SAO_PAULO, "2025-01-01T00:00:00Z", utc(2025, 1, 1)),
    ],
)
def test_local_time_becomes_an_instant(
    zone: str, text: str, instant: datetime, careful: bool
) -> None:
    contract = contract_of('type = "timestamp"', zone)
    assert judge_alone(text.encode(), contract, careful=careful) == Verdict(instant)


@pytest.mark.parametrize("zone", ["", SAO_PAULO])
@pytest.mark.parametrize(
    ("form", "text", "outcome"),
    [
        ("%Y-%m-%d %H:%M:%S%z", "2017-10-02 10:56:33+0200", utc(2017, 10, 2, 8, 56, 33)),
        ("%Y-%m-%d %H:%M:%S %z", "2017-10-02 00:30:00 +0200", utc(2017, 10, 1, 22, 30)),
        ("%Y-%m-%d %H:%M:%S%z", "2017-03-01 00:30:00+0200", utc(2017, 2, 28, 22, 30)),
        ("%Y-%m-%d %H:%M:%S%z", "2017-02-30 00:30:00+0200", WRONG),
        ("%Y-%m-%d %H:%M:%S%z", "2017-10-02 10:56:33", WRONG),
    ],
)
def test_a_format_may_have_an_offset(zone: str, form: str, text: str, outcome: object) -> None:
    contract = contract_of(f'type = "timestamp", formats = ["{form}"]', zone)
    assert judge_alone(text.encode(), contract) == expected(outcome)


def test_formats_are_tried_in_their_order() -> None:
    american = contract_of('type = "timestamp", formats = ["%m/%d/%Y", "%d/%m/%Y"]')
    european = contract_of('type = "timestamp", formats = ["%d/%m/%Y", "%m/%d/%Y"]')
    texts = [b"03/04/2025", b"13/04/2025", b"04/13/2025", b"02/30/2025"]
    both = [utc(2025, 4, 13), utc(2025, 4, 13)]
    assert judge(texts, american) == [
        *map(Verdict, [utc(2025, 3, 4), *both]),
        Verdict(None, (WRONG,)),
    ]
    assert judge(texts, european)[:3] == [*map(Verdict, [utc(2025, 4, 3), *both])]


def test_each_column_has_its_own_formats() -> None:
    text = """
    [orders]
    key = ["order_id"]
    [orders.columns]
    order_id = { type = "integer", required = true }
    user_id = { type = "integer", required = true }
    created_at = { type = "timestamp", required = true }
    [order_items]
    key = ["id"]
    [order_items.columns]
    id = { type = "integer", required = true }
    order_id = { type = "integer", required = true }
    product_id = { type = "integer", required = true }
    sale_price = { type = "decimal", required = true }
    [products]
    key = ["id"]
    [products.columns]
    id = { type = "integer", required = true }
    a = { type = "timestamp", formats = ["%d/%m/%Y"] }
    b = { type = "timestamp", formats = ["%m/%d/%Y"] }
    v = { type = "timestamp" }
    """
    contract = parse_contract(text, source="test")
    parser = ChunkParser(layout_of(contract, b"id,a,b,v"))
    row = b"0,03/04/2025,03/04/2025,2025-03-04\n"
    parsed = parser.parse(chunk_of(row + b"1,,,03/04/2025\n", contract))
    assert parsed.clean.select(["a", "b", "v"]).to_pylist() == [
        {"a": utc(2025, 4, 3), "b": utc(2025, 3, 4), "v": utc(2025, 3, 4)}
    ]
    assert [one["raw"] for one in parsed.rejects.to_pylist()] == [b"1,,,03/04/2025"]


@pytest.mark.parametrize("careful", [False, True])
@pytest.mark.parametrize(
    ("column", "text", "outcome"),
    [
        ('type = "string"', b"caf\xc3\xa9", "café"),
        ('type = "uuid"', b"0190163d-8694-739b-aea5-966c26f8ad9\xe9", UNDECODABLE),
        ('type = "string"', b" as it is ", " as it is "),
        ('type = "string"', b"two\r\nlines", "two\r\nlines"),
        ('type = "string"', b'say "hi"', 'say "hi"'),
        ('type = "string"', b"a\x00b", "a\x00b"),
        ('type = "string"', b"NULL", "NULL"),
        ('type = "string"', b"", None),
        ('type = "string"', b"livr\xe9e", UNDECODABLE),
        ('type = "string"', b"\xff\xfe", UNDECODABLE),
        ('type = "string"', b"\xed\xa0\x80", UNDECODABLE),  # half of a surrogate pair
        ('type = "string"', b"\xc0\xaf", UNDECODABLE),  # an overlong slash
        ('type = "string", max_bytes = 4', "éé".encode(), "éé"),
        ('type = "string", max_bytes = 4', "ééé".encode(), "too_long"),
        ('type = "string", allowed = ["a", "b"]', b"a", "a"),
        ('type = "string", allowed = ["a", "b"]', b"A", "not_allowed"),
        ('type = "string", allowed = ["a", "b"]', b"", None),
        ('type = "integer"', b"\xff", UNDECODABLE),
        ('type = "decimal"', b"1\xff", UNDECODABLE),
        ('type = "timestamp"', b"2025-01-01\xff", UNDECODABLE),
    ],
)
def test_texts(column: str, text: bytes, outcome: object, careful: bool) -> None:
    assert judge_alone(text, contract_of(column), careful=careful) == expected(outcome)


@pytest.mark.parametrize("careful", [False, True])
@pytest.mark.parametrize("kind", ["integer", "decimal", "timestamp", "string", "uuid"])
def test_null_values_mean_no_value_in_every_type(kind: str, careful: bool) -> None:
    optional = contract_of(f'type = "{kind}"', '[csv]\nnull_values = ["", "NULL", "-"]')
    required = contract_of(
        f'type = "{kind}", required = true', '[csv]\nnull_values = ["", "NULL", "-"]'
    )
    for text in (b"", b"NULL", b"-"):
        assert judge_alone(text, optional, careful=careful) == Verdict(None)
        missing = judge_alone(text, required, careful=careful)
        assert missing == Verdict(None, ("missing_value",))


digits = st.text("0123456789", max_size=22)
number_like = st.one_of(
    st.builds("".join, st.tuples(st.sampled_from(["", "-", "+", " ", "-0"]), digits)),
    st.builds(
        "{}{}.{}{}{}".format,
        st.sampled_from(["", "-", "+", " "]),
        digits,
        st.text("0123456789", max_size=8),
        st.sampled_from(["", "0", "00", "000000000000"]),
        st.sampled_from(["", "", "", "e1", "E-2", "e+12", "e99", " ", "\t", "f"]),
    ),
    st.text("0123456789+-.eExX \t,_", max_size=12),
    st.sampled_from([*INTEGERS, *DECIMALS]),
)
moment_like = st.one_of(
    st.datetimes(min_value=datetime(1, 1, 1)).map(str),
    st.datetimes().map(lambda moment: moment.isoformat(timespec="seconds")),
    st.builds(
        "{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}{}{}".format,
        st.integers(0, 9999),
        st.integers(0, 13),
        st.integers(0, 32),
        st.sampled_from(["T", " ", "  ", "t"]),
        st.integers(0, 25),
        st.integers(0, 61),
        st.integers(0, 62),
        st.sampled_from(["", ".", ".0", ".123456", ".1234567", ".123456789012"]),
        st.sampled_from(["", "Z", "+01", "-0330", "+05:45", "+14:00", "+24:00", "+0160"]),
    ),
    st.builds("{:04}-{:02}-{:02}".format, st.integers(0, 9999), st.just(2), st.integers(27, 31)),
    st.text("0123456789-:T Z+.", max_size=26),
    st.sampled_from([*TIMESTAMPS, *BY_FORMAT]),
)
uuid_like = st.one_of(
    st.uuids().map(str),
    st.uuids().map(lambda value: str(value).upper()),
    st.builds(
        lambda value, at, code: f"{value}"[:at] + code + f"{value}"[at + 1 :],
        st.uuids(),
        st.integers(0, 36),
        st.characters(max_codepoint=255),
    ),
    st.sampled_from(list(UUIDS)),
)
raw = st.one_of(
    number_like.map(str.encode),
    moment_like.map(str.encode),
    st.text(max_size=8).map(str.encode),
    st.binary(max_size=6),
)
COLUMNS = {
    'type = "integer"': number_like,
    'type = "integer", min = -5, max = 1000, required = true': number_like,
    'type = "decimal"': number_like,
    'type = "decimal", precision = 18, scale = 2, min = 0': number_like,
    'type = "decimal", precision = 4, scale = 0': number_like,
    'type = "decimal", precision = 3, scale = 3': number_like,
    'type = "decimal", precision = 18, scale = 9': number_like,
    'type = "timestamp"': moment_like,
    'type = "timestamp", required = true': moment_like,
    'type = "timestamp", formats = ["%Y-%m-%d %H:%M:%S"]': moment_like,
    'type = "timestamp", formats = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"]': moment_like,
    'type = "uuid"': uuid_like,
    'type = "uuid", required = true': uuid_like,
    'type = "string", max_bytes = 6': raw,
    'type = "string", allowed = ["a", "7"], required = true': raw,
}
CONTRACTS: dict[tuple[str, str], Contract] = {
    (column, zone): contract_of(column, zone)
    for column in COLUMNS
    for zone in ("", BERLIN, SAO_PAULO)
    if not zone or "timestamp" in column
}


@st.composite
def columns_of_texts(draw: st.DrawFn) -> tuple[Contract, list[bytes]]:
    column, zone = draw(st.sampled_from(sorted(CONTRACTS)))
    fitting = COLUMNS[column]
    text = st.one_of(fitting if fitting is raw else fitting.map(str.encode), raw)
    texts = draw(st.lists(text, min_size=1, max_size=12))
    return CONTRACTS[column, zone], texts


@given(columns_of_texts())
@settings(max_examples=400)
def test_the_quick_and_the_careful_way_give_the_same_verdicts(
    case: tuple[Contract, list[bytes]],
) -> None:
    contract, texts = case
    as_it_comes = judge(texts, contract)
    assert judge(texts, contract, careful=True) == as_it_comes
    assert [judge_alone(text, contract) for text in texts] == as_it_comes


@given(st.lists(st.one_of(st.binary(max_size=8), st.text(max_size=4).map(str.encode), st.none())))
def test_undecodable_bytes_are_found(values: list[bytes | None]) -> None:
    def is_utf8(value: bytes) -> bool:
        try:
            value.decode()
        except UnicodeDecodeError:
            return False
        return True

    padded = pa.array([b"\xff", *values, b"\xff"], pa.binary())
    texts, found = decoded(padded.slice(1, len(values)))
    assert found.tolist() == [value is not None and not is_utf8(value) for value in values]
    assert texts.to_pylist() == [
        value.decode() if value is not None and is_utf8(value) else None for value in values
    ]


def test_digits_are_counted_after_scaling() -> None:
    roomy, narrow = pa.decimal128(38, 2), pa.decimal128(3, 2)

    def amounts(*texts: str) -> pa.Array:
        """As the CSV converter may give them: more digits than the type has."""
        values = pa.array([Decimal(text) for text in texts], roomy)
        return pa.Array.from_buffers(narrow, len(values), values.buffers())

    assert within_precision(amounts("9.99", "-9.99", "0"))
    assert not within_precision(amounts("1", "10.00"))
    assert not within_precision(amounts("1", "-10.00"))
    # 2**64 has a low word of 0.
    assert not within_precision(amounts(f"{2**64 // 100}.{2**64 % 100:02}"))
    assert within_precision(amounts("10.00", "1").slice(1))
    assert not within_precision(amounts("1", "10.00").slice(1))
    assert within_precision(amounts())


PATTERNS = (
    convert.NAIVE_TIMESTAMP,
    convert.ZONED_TIMESTAMP,
    convert.LONG_FRACTION,
    convert.PLAIN_INTEGER,
    convert.DECIMAL,
)
SHAPES = st.sampled_from(
    ["2024-02-29T10:11:12.1234567+01:00", "2023-02-29", "-12", "007", "1.5e-3", ".5", "12.", ""]
)
NEARLY = st.builds(
    lambda text, at, piece: text[:at] + piece + text[at:],
    SHAPES,
    st.integers(0, 40),
    st.sampled_from(["", "\n", " ", "\u0663", "x", "\0", "9", "-", "Z"]),
)


@given(st.lists(st.none() | NEARLY | st.text(max_size=5), max_size=20))
@example(["12\n", "2024-02-29\n", "1\u0663"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_few_values_match_as_many_do(pattern: str, values: list[str | None]) -> None:
    text = pa.array(values, pa.string())
    together = pc.match_substring_regex(text, pattern).to_pylist()
    assert convert._matches(text, pattern).tolist() == [one is True for one in together]


@pytest.mark.parametrize("text", ["1" * 101 + "x", "0" * 101 + "x", "1" * 102, " " * 101 + "x"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_long_value_is_left_to_patterns_that_do_not_go_back(
    pattern: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convert, "_compiled", None)
    together = pc.match_substring_regex(pa.array([text]), pattern).to_pylist()
    assert convert._matches(pa.array([text]), pattern).tolist() == together


@pytest.mark.parametrize("kind", ["integer", "decimal", "timestamp"])
def test_digits_of_a_megabyte_are_judged_at_once(kind: str) -> None:
    column = Column(name="x", type=kind)
    long = ["1" * 2**20, *(digit * 2**20 + end for digit in "01" for end in ("x", " x", ".x"))]
    values, bad, _ = convert.convert(pa.array(long).cast(pa.binary()), column, built_in())
    assert values.null_count == len(long)
    assert bad.all()
