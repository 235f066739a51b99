"""Every text gets one verdict, whichever way it is read and whatever stands beside it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi.contract.loading import parse_contract
from kpi.validation.decimals import within_precision
from kpi.validation.parser import ChunkParser
from kpi.validation.text import decode
from tests.unit.kpi.columns import (
    Verdict,
    chunk_of,
    contract_of,
    judge,
    judge_alone,
    layout_of,
)
from tests.unit.kpi.verdicts import (
    BERLIN,
    CASES,
    RANGE,
    SAO_PAULO,
    UNDECODABLE,
    WRONG,
    expected,
    utc,
)


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
        ('type = "decimal", precision = 3, scale = 0', "7.5", "8"),
        ('type = "decimal", precision = 3, scale = 0', "999.5", WRONG),
        ('type = "decimal", on_excess_digits = "reject"', "7.12345", WRONG),
        ('type = "decimal", on_excess_digits = "reject"', "1e-9", WRONG),
        ('type = "decimal", on_excess_digits = "reject"', "7.1234000000000000000", "7.1234"),
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
        (SAO_PAULO, "2025-01-01", utc(2025, 1, 1)),  # of the business zone, UTC
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
        {"a": utc(2025, 4, 3), "b": utc(2025, 3, 4), "v": utc(2025, 3, 4)},
        {"a": None, "b": None, "v": None},
    ]
    assert parsed.notes == {"nulled": 1}


@pytest.mark.parametrize("careful", [False, True])
@pytest.mark.parametrize(
    ("column", "text", "outcome"),
    [
        ('type = "string"', b"caf\xc3\xa9", "café"),
        ('type = "uuid"', b"0190163d-8694-739b-aea5-966c26f8ad9\xe9", UNDECODABLE),
        ('type = "string"', b" as it is ", "as it is"),
        ('type = "string", trim = false', b" as it is ", " as it is "),
        ('type = "string"', b"  ", None),
        ('type = "string", trim = false', b"  ", None),
        ('type = "string"', "\u3000\ufeffCaf\u00e9\u00a0\n".encode(), "Caf\u00e9"),
        ('type = "string"', "\u00e0 la \u0160".encode(), "\u00e0 la \u0160"),
        ('type = "string", max_bytes = 2', b" ab  ", "ab"),
        ('type = "string", allowed = ["a"]', b"a ", "a"),
        ('type = "string"', b"two\r\nlines", "two\r\nlines"),
        ('type = "string"', b'say "hi"', 'say "hi"'),
        ('type = "string"', b"a\x00b", "a\x00b"),
        ('type = "string"', b"NULL", "NULL"),
        ('type = "string"', b"", None),
        ('type = "string"', b"livr\xe9e", UNDECODABLE),
        ('type = "string"', b"\xff\xfe", UNDECODABLE),
        ('type = "string"', b"\xed\xa0\x80", UNDECODABLE),  # half of a surrogate pair
        ('type = "string"', b"\xc0\xaf", UNDECODABLE),  # an overlong slash
        ('type = "string"', b"\x80", UNDECODABLE),  # the lowest byte beyond ASCII
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


@given(st.lists(st.one_of(st.binary(max_size=8), st.text(max_size=4).map(str.encode), st.none())))
def test_undecodable_bytes_are_found(values: list[bytes | None]) -> None:
    def is_utf8(value: bytes) -> bool:
        try:
            value.decode()
        except UnicodeDecodeError:
            return False
        return True

    padded = pa.array([b"\xff", *values, b"\xff"], pa.binary())
    texts, found = decode(padded.slice(1, len(values)))
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
